"""The report's style sheet."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem 1rem 4rem; color: #1c1c1c; background: #fff;
  font: 1rem/1.55 system-ui, "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 .25rem; }
h3 { font-size: 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
p, ul { margin: .6rem 0; }
.status { background: #fff4e0; border-left: .3rem solid #b35900; padding: .6rem .8rem; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.key div { background: #f2f6fa; padding: .6rem .8rem; border-radius: .3rem; }
.key dt { font-size: .85rem; color: #444; }
.key dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
.key dd small { display: block; font-size: .8rem; font-weight: 400; color: #444; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 0 1.2rem; }
.pair figure { margin: .6rem 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #999; }
tbody th { font-weight: 500; }
figure { margin: 1.2rem 0; }
figure svg { width: 100%; max-width: 36rem; height: auto; display: block; }
figure svg text { font-family: system-ui, "DejaVu Sans", Arial, sans-serif !important; }
figcaption { font-size: .88rem; color: #333; margin-top: .3rem; max-width: 40rem; }
code { font-size: .85em; overflow-wrap: anywhere; }
nav ol { padding-left: 1.6rem; columns: 16rem 2; column-gap: 2.5rem; font-size: .92rem; }
@media (max-width: 30rem) { table { font-size: .82rem; } th, td { padding-right: .45rem; } }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""
