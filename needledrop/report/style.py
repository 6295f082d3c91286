"""How the page looks: dark text on white, one column, tables that scroll on a phone and stand whole on paper."""

STYLE = """
:root { --ink: #1c1c1c; --soft: #5c5c5c; --rule: #dcdcdc; --tint: #f5f7f9; --link: #00568a; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; color: var(--ink); background: #fff;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .5rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, li { max-width: 44rem; }
a { color: var(--link); }
.soft, figcaption, caption { color: var(--soft); }
.soft, figcaption { font-size: .9rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0; margin: 1rem 0 0; list-style: none;
  font-size: .92rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0; padding: 0; }
.figures div { background: var(--tint); border-radius: .5rem; padding: .8rem 1rem; }
.figures dt { font-size: .85rem; color: var(--soft); }
.figures dd { margin: .1rem 0 0; font-size: 1.55rem; font-weight: 650; line-height: 1.2; }
.figures dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); margin-top: .15rem; }
.scroll { overflow-x: auto; margin: .75rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { width: min(100%, calc(100vw - 2.5rem)); text-align: left; padding-bottom: .5rem; font-size: .9rem; }
th, td { padding: .34rem .5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th:first-child, td:first-child, .left { text-align: left; }
thead th, thead td { border-bottom: 2px solid var(--ink); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
td small, th small { display: block; color: var(--soft); font-weight: 400; font-size: .78rem; }
tr.paper td, tr.paper th { color: var(--soft); font-weight: 400; border-bottom-color: var(--rule); }
tr.ours.has-paper td, tr.ours.has-paper th { border-bottom: 0; padding-bottom: 0; }
tr.group th { padding-top: 1.1rem; color: var(--soft); font-weight: 400; font-size: .85rem; }
.best { font-weight: 700; }
figure { margin: 1rem 0 1.5rem; }
.wide .chart { overflow-x: auto; }
.wide svg { min-width: 34rem; }
figcaption { margin-top: .4rem; max-width: 44rem; }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
svg text { fill: #444; }
svg .grid { stroke: #e4e4e4; stroke-width: 1; }
svg .mark { stroke: #555; stroke-width: 1.3; stroke-dasharray: 5 4; }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem 1.5rem; }
.small figure { margin: 0; }
.small figcaption { font-weight: 600; color: var(--ink); margin: 0 0 .2rem; }
.films { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; padding: 0;
  list-style: none; }
.films > li { border: 1px solid var(--rule); border-radius: .5rem; padding: .8rem 1rem; break-inside: avoid;
  max-width: none; }
.films h4 { margin: 0; font-size: 1rem; }
.films ol { margin: .5rem 0 0; padding-left: 1.3rem; font-size: .9rem; }
.films ol li { padding: .08rem 0; }
.films ol li.own { font-weight: 650; }
.films ol li .soft { font-weight: 400; }
.tick { color: #00704f; }
.bar { display: inline-block; height: .55rem; background: #0072B2; border-radius: .15rem; vertical-align: middle; }
td.bars { width: 30%; min-width: 8rem; text-align: left; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2 { break-after: avoid; }
  figure, table, .figures div { break-inside: avoid; }
  .scroll { overflow: visible; }
  a { color: inherit; text-decoration: none; }
}
"""
