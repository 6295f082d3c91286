"""Where recordings come from: music folders, URL lists, YouTube."""
