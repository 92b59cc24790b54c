"""The style of the page that shows a scene and its class map, light and dark, wide and narrow."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbf9; --ink: #23262a; --soft: #63686e; --line: #dddeda;
  --stage: #d9dad6; --accent: #1f6feb; --glass: rgba(251,251,249,.88) }
@media (prefers-color-scheme: dark) { :root { --paper: #17191c; --ink: #e7e8ea; --soft: #9aa0a6; --line: #2f3337;
  --stage: #0d0e10; --accent: #6ea8fe; --glass: rgba(23,25,28,.86) } }
* { box-sizing: border-box }
html, body { height: 100%; margin: 0 }
body { display: grid; grid-template-columns: minmax(0, 1fr) 21rem; height: 100vh; height: 100dvh; overflow: hidden;
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--ink); background: var(--paper) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
#stage { position: relative; overflow: hidden; background: var(--stage); touch-action: none; cursor: grab;
  user-select: none; -webkit-user-select: none }
#stage:focus-visible { outline-offset: -3px }
#stage.moving { cursor: grabbing }
.layer { position: absolute; inset: 0; overflow: hidden; pointer-events: none }
.world { position: absolute; left: 0; top: 0; transform-origin: 0 0; will-change: transform }
.world > * { display: block; max-width: none }
.near .world > * { image-rendering: pixelated }
.detail { position: absolute; left: 0; top: 0; width: 100%; height: 100%; visibility: hidden }
.detailed .world { visibility: hidden } .detailed .layer:not([hidden]) > .detail { visibility: visible }
#lines { position: absolute; left: 0; top: 0; width: 100%; height: 100%; fill: none; stroke: #ff2d95;
  stroke-width: 2.5px; stroke-linecap: round; stroke-linejoin: round }
label.lines { display: flex; align-items: center; gap: .5rem; margin-top: 1rem; cursor: pointer;
  overflow-wrap: anywhere } .lines input { width: 16px; height: 16px; margin: 0; flex: none;
  accent-color: var(--accent) } .lines .patch { background: #ff2d95; height: 5px }
#missing { position: absolute; top: 42px; left: 12px; right: 12px; margin: 0; padding: 2px 9px; border-radius: 6px;
  font-size: 12px; background: var(--glass); pointer-events: none } #missing[hidden] { display: none }
#divider { position: absolute; top: 0; bottom: 0; left: 50%; width: 44px; margin-left: -22px; cursor: ew-resize;
  touch-action: none }
#divider::before { content: ""; position: absolute; top: 0; bottom: 0; left: 21px; width: 2px; background: #fff;
  box-shadow: 0 0 0 1px rgba(0,0,0,.35) }
#divider:focus-visible { outline: none }
#divider b { position: absolute; top: 50%; left: 4px; width: 36px; height: 36px; margin-top: -18px;
  border-radius: 50%; background: #fff; box-shadow: 0 1px 5px rgba(0,0,0,.45) }
#divider b::before, #divider b::after { content: ""; position: absolute; top: 13px; width: 7px; height: 7px;
  border: solid #33373b; border-width: 0 0 2px 2px }
#divider b::before { left: 9px; transform: rotate(45deg) }
#divider b::after { right: 9px; transform: rotate(225deg) }
#divider:focus-visible b { box-shadow: 0 0 0 3px var(--accent) }
.side { position: absolute; top: 12px; padding: 1px 9px; border-radius: 10px; font-style: normal; font-size: 12px;
  white-space: nowrap; color: var(--ink); background: var(--glass); pointer-events: none }
.side.left { right: 30px } .side.right { left: 30px }
#zoom { position: absolute; right: 12px; bottom: 12px; display: grid; gap: 1px; border-radius: 8px; overflow: hidden;
  background: var(--line); box-shadow: 0 1px 4px rgba(0,0,0,.3) }
#zoom button { width: 38px; height: 38px; border: 0; padding: 0; font-size: 18px; line-height: 1; cursor: pointer;
  color: var(--ink); background: var(--paper) }
#zoom button:hover { background: var(--line) }
#zoom button:focus-visible { outline-offset: -3px }
#readout, #scale { position: absolute; left: 12px; margin: 0; padding: 2px 9px; border-radius: 6px; font-size: 12px;
  font-variant-numeric: tabular-nums; background: var(--glass); pointer-events: none }
#readout { bottom: 12px } #readout:empty { display: none }
#scale { bottom: 42px; padding: 1px 9px 4px; text-align: center }
#scale span { display: block; border: solid currentColor; border-width: 0 1.5px 1.5px; height: 5px }
.message { position: absolute; inset: 40% 1rem auto; text-align: center }
aside { overflow-y: auto; padding: 1.1rem 1.25rem 1.5rem; border-left: 1px solid var(--line) }
h1 { margin: 0 0 .3rem; font-size: 1.15rem; line-height: 1.3; overflow-wrap: anywhere }
header p { margin: .15rem 0; color: var(--soft); font-size: 13px; overflow-wrap: anywhere }
.sides { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .35rem .7rem; align-items: center;
  margin-top: 1.1rem }
.sides[hidden] { display: none } .layer[hidden] { display: block; visibility: hidden }
.sides label { color: var(--soft) }
.sides select { width: 100%; padding: .3rem; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--line); border-radius: 6px }
.opacity { display: grid; grid-template-columns: 1fr auto; gap: .15rem .5rem; margin: 1.1rem 0 1.2rem }
.opacity output { color: var(--soft); font-variant-numeric: tabular-nums }
.opacity input { grid-column: 1 / -1; width: 100%; margin: 0; accent-color: var(--accent) }
table { width: 100%; border-collapse: collapse }
th, td { padding: .35rem 0; text-align: right; font-weight: 400; vertical-align: top }
th:first-child { text-align: left } td { padding-left: .8rem; font-variant-numeric: tabular-nums }
thead th { padding-bottom: .3rem; font-size: 12px; color: var(--soft); border-bottom: 1px solid var(--line) }
tbody label { display: flex; align-items: center; gap: .5rem; cursor: pointer; overflow-wrap: anywhere }
tbody input { width: 16px; height: 16px; margin: 0; flex: none; accent-color: var(--accent) }
tr.hidden label { color: var(--soft); text-decoration: line-through } tr.hidden i { opacity: .3 }
.patch { flex: none; width: 14px; height: 14px; border-radius: 3px; box-shadow: inset 0 0 0 1px rgba(127,127,127,.4) }
.bar { display: block; height: 3px; min-width: 1px; margin: .25rem 0 0 calc(16px + .5rem); border-radius: 2px;
  max-width: calc(100% - 16px - .5rem) }
details { margin-top: 1.4rem; padding-top: .7rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: 13px }
summary { cursor: pointer } dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem .9rem; margin: .6rem 0 0 }
dt { color: var(--ink) } dd { margin: 0 }
@media (max-width: 760px) {
  body { grid-template-columns: none; grid-template-rows: minmax(0, 58fr) minmax(0, 42fr) }
  aside { border-left: 0; border-top: 1px solid var(--line); padding: .9rem 1rem 1.2rem }
}
@media print {
  body { display: block; height: auto; overflow: visible }
  #stage { height: 60vh } #zoom { display: none }
}
"""
