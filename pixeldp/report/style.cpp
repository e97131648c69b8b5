#include "pixeldp/report/report.hpp"

namespace pixeldp::report {

// The six series colours differ in lightness as well as in hue, so that they stay apart for readers
// with any colour vision and on grey prints.
std::string_view style_sheet() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #fdfdfb; --ink: #1d1f23; --soft: #5b606b; --rule: #d9dbdf; --faint: #ececea;
  --s0: #0b62a8; --s1: #c2500a; --s2: #0e7a5f; --s3: #a3397f; --s4: #8a6d00; --s5: #5b4bb7;
  --rest: #7b808b; --wrong: #b9bcc3; --note: #fff6dc; --note-rule: #d8b648;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171b; --ink: #e6e7ea; --soft: #a2a8b4; --rule: #3a3e46; --faint: #24272d;
    --s0: #62b2f5; --s1: #ff9257; --s2: #45cfa5; --s3: #ec94cb; --s4: #e0bd4a; --s5: #b3a7ff;
    --rest: #9aa0ad; --wrong: #5d626d; --note: #2f2a17; --note-rule: #8a7430;
  }
}
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); }
.s3 { --c: var(--s3); } .s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
.rest { --c: var(--rest); }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 47.5rem;
  background: var(--page); color: var(--ink);
  font: 1.0625rem/1.55 Charter, "Bitstream Charter", "Source Serif 4", Georgia, Cambria, serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 600; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; line-height: 1.3; font-weight: 600; margin: 3rem 0 .6rem; }
h3 { font: 600 .95rem/1.4 system-ui, "Helvetica Neue", Arial, sans-serif; margin: 1.6rem 0 .4rem; }
p { margin: 0 0 .9rem; }
.subtitle { color: var(--soft); margin-bottom: 1.6rem; }
.lead { padding: 0; margin: 0 0 1rem; list-style: none; }
.lead li { margin: 0 0 .7rem; padding-left: .9rem; border-left: 3px solid var(--c); }
.note {
  background: var(--note); border-left: 3px solid var(--note-rule);
  padding: .6rem .9rem; font-size: .95rem;
}
a { color: inherit; }
b, strong { font-weight: 600; }
code, pre { font: .82em/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, monospace; }
figure { margin: 1.2rem 0 1.4rem; }
figure svg + svg { margin-top: 1rem; }
sup { line-height: 0; }
figcaption {
  font-size: .9rem; line-height: 1.45; color: var(--soft); text-align: left;
}
figcaption { margin-top: .5rem; }
figcaption b { color: var(--ink); }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg.narrow { display: none; }
svg text { font: 12px system-ui, "Helvetica Neue", Arial, sans-serif; fill: var(--ink); }
svg .tick { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .title { fill: var(--soft); }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
svg .strong { font-weight: 600; }
svg .label { fill: var(--c); font-weight: 600; paint-order: stroke; stroke: var(--page);
  stroke-width: 3px; }
svg path { fill: none; }
svg .axis, svg .line.axis { stroke: var(--soft); stroke-width: 1; }
svg .grid, svg .line.grid { stroke: var(--faint); stroke-width: 1; }
svg .line { stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
svg .line.thin { stroke-width: 1; opacity: .6; }
svg .line.rule { stroke-width: 1; stroke-dasharray: 3 3; }
svg .d1 { stroke-dasharray: 7 3; } svg .d2 { stroke-dasharray: 2 3; }
svg .d3 { stroke-dasharray: 9 3 2 3; }
svg .line.paper { stroke-width: 1.5; stroke-dasharray: 5 3; }
svg .line.distribution { stroke-width: 1.5; stroke-dasharray: 8 2 1.5 2; }
svg .line.grid-search { stroke-width: 1.5; stroke-dasharray: 1.5 2.5; }
svg .line.most { stroke-width: 2; }
svg .dot { fill: var(--c); stroke: var(--page); stroke-width: 1; }
svg .area { fill: var(--c); }
svg .area.wrong { fill: var(--wrong); }
svg .reach { fill: var(--c); opacity: .35; }
svg .bound { fill: var(--c); opacity: .55; }
svg .observed { fill: var(--ink); stroke: var(--page); stroke-width: 1.5; }
.remark { font-size: .9rem; color: var(--soft); }
small { font-size: .88em; color: var(--soft); font-weight: 400; }
.picture { display: block; width: 7rem; height: 7rem; margin: 0 0 .6rem; image-rendering: pixelated;
  border: 1px solid var(--rule); }
.legend {
  display: flex; flex-wrap: wrap; gap: .25rem 1.2rem; margin: 0 0 .7rem; padding: 0;
  list-style: none; font: .82rem/1.5 system-ui, "Helvetica Neue", Arial, sans-serif;
}
.legend li { display: flex; align-items: center; gap: .45rem; overflow-wrap: anywhere; }
.legend svg { width: 26px; height: 12px; flex: none; }
figure.table figcaption { margin: 0 0 .5rem; }
.scroll { overflow-x: auto; }
table {
  border-collapse: collapse; font: .82rem/1.4 system-ui, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
table.full { width: 100%; }
thead th { border-top: 1.5px solid var(--ink); border-bottom: 1px solid var(--ink); }
thead th.run { border-top: 3px solid var(--c); white-space: normal; overflow-wrap: anywhere;
  min-width: 5.5rem; }
tbody tr:last-child > * { border-bottom: 1.5px solid var(--ink); }
th, td { padding: .3rem .55rem; text-align: right; vertical-align: bottom; white-space: nowrap; }
td { vertical-align: top; }
th { font-weight: 600; }
th:first-child { text-align: left; padding-left: 0; vertical-align: top; position: sticky; left: 0;
  background: var(--page); }
tbody th { font-weight: 400; }
td.best { font-weight: 700; }
.conditions td, .conditions thead th { text-align: left; white-space: normal; min-width: 8.5rem; }
.conditions td { overflow-wrap: anywhere; }
details { margin: .6rem 0; font-size: .95rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
pre { overflow-x: auto; padding: .8rem 1rem; background: var(--faint); border-radius: 3px; }
dl.says { margin: 0; }
dl.says dt { font-weight: 600; margin-top: .8rem; }
dl.says dd { margin: .1rem 0 0; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; font-size: 1rem; }
  h1 { font-size: 1.5rem; }
  svg.wide { display: none; }
  svg.narrow { display: block; }
  /* A row becomes a heading over cells that share the width, so that no column is cut. */
  table, table.full { width: 100%; display: block; }
  thead, tbody { display: block; }
  tr { display: flex; flex-wrap: wrap; }
  tr > * { flex: 1 1 5.4rem; }
  tr > th:first-child { flex: 0 0 100%; position: static; }
  thead th:first-child:empty { display: none; }
  th, td, .conditions td, .conditions thead th { white-space: normal; overflow-wrap: anywhere;
    min-width: 0; text-align: left; padding: .15rem .3rem .15rem 0; }
  tbody th { font-weight: 600; padding-top: .35rem; }
  tbody tr { border-bottom: 1px solid var(--faint); }
  tbody tr:last-child > * { border-bottom: 0; }
  thead th { border-top: 0; }
  small { display: block; }
  td br { display: none; }
}
@media print {
  :root { --page: #fff; --ink: #000; --soft: #444; --rule: #bbb; --faint: #e6e6e6; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  figure, .scroll, dl.says dd { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  svg.wide { display: block; } svg.narrow { display: none; }
  summary { display: none; }
  pre { white-space: pre-wrap; }
}
)css";
}

}  // namespace pixeldp::report
