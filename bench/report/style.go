package report

// styles is how many lines look different: by colour and by their dashes, so
// that colour is not needed to tell them apart.
const styles = 5

// style has neither < nor &, so that it is itself in XML too. The colours keep
// a contrast of 3:1 to their ground.
const style = `
:root { color-scheme: light dark; --ground: #ffffff; --text: #1c1c1c; --faint: #595959; --grid: #dcdcdc; --card: #f6f6f6;
  --c0: #0072b2; --c1: #c04e00; --c2: #007a5a; --c3: #a0498a; --c4: #6b6b00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181c; --text: #ececec; --faint: #b0b0b0; --grid: #363a40; --card: #1f2227;
    --c0: #56b4e9; --c1: #ff9a4d; --c2: #2fd0a0; --c3: #e79bcb; --c4: #e0dc5a; }
}
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin: 0 0 .25rem; }
section { margin: 1.5rem 0; padding: 1rem; background: var(--card); border-radius: .5rem; overflow-x: auto; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem 1.5rem; }
dt { color: var(--faint); font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.note, .missing { margin: 0 0 .5rem; color: var(--faint); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .25rem 0; padding: 0; list-style: none; font-size: .9rem; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--faint); font-size: 12px; }
.chart .y { text-anchor: end; }
.chart .x { text-anchor: middle; }
.grid line { stroke: var(--grid); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.dots circle { fill: transparent; stroke: none; }
.dots circle:hover, .dot circle { fill: currentColor; }
.dot circle { stroke: none; }
.s0 { stroke: var(--c0); color: var(--c0); }
.s1 { stroke: var(--c1); color: var(--c1); stroke-dasharray: 7 3; }
.s2 { stroke: var(--c2); color: var(--c2); stroke-dasharray: 2 3; }
.s3 { stroke: var(--c3); color: var(--c3); stroke-dasharray: 10 3 2 3; }
.s4 { stroke: var(--c4); color: var(--c4); stroke-dasharray: 14 4; }
table { font-size: .9rem; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
th, td { padding: .2rem .6rem .2rem 0; text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; white-space: normal; }
th[scope=row], th:first-child { text-align: left; font-weight: 500; }
thead th { white-space: normal; vertical-align: bottom; color: var(--faint); font-weight: 500; border-bottom: 1px solid var(--grid); }
details table { margin-top: .5rem; }
summary { cursor: pointer; color: var(--faint); font-size: .9rem; }
@media print { section { break-inside: avoid; } }
`
