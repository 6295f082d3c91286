<?php
/* Wikimedia serves thumbnails at standard widths only: the address in a response is of the next larger one, while the width
 * in the response is the requested one; a file that is no wider is served as it is. MediaWiki 1.44 does the same. */
class SteppedFile extends LocalFile {
	private const STEPS = [ 20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840 ];

	public function transform( $params, $flags = 0 ) {
		$thumb = parent::transform( $params, $flags );
		if ( ( $flags & self::RENDER_NOW ) || !$thumb || $thumb->isError() || $thumb->fileIsSource() ) {
			return $thumb;
		}
		$wider = array_filter( self::STEPS, static fn ( $step ) => $step >= $thumb->getWidth() );
		if ( !$wider || min( $wider ) == $thumb->getWidth() ) {
			return $thumb;
		}
		$asked = [ 'width' => $thumb->getWidth(), 'height' => $thumb->getHeight() ];
		if ( min( $wider ) >= $this->getWidth() ) {
			return new ThumbnailImage( $this, $this->getUrl(), null, $asked );
		}
		$stepped = parent::transform( [ 'width' => min( $wider ) ], $flags );
		return new ThumbnailImage( $this, $stepped->getUrl(), false, $asked );
	}
}

class SteppedRepo extends LocalRepo {
	protected $fileFactory = [ SteppedFile::class, 'newFromTitle' ];
	protected $fileFactoryKey = [ SteppedFile::class, 'newFromKey' ];
	protected $fileFromRowFactory = [ SteppedFile::class, 'newFromRow' ];
}
