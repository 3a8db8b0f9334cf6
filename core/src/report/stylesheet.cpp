#include "report/stylesheet.hpp"

namespace qtk::report {
namespace {

constexpr const char* kColours = R"(
:root{color-scheme:light dark;
--paper:#fff;--ink:#16191d;--soft:#59626d;--rule:#d5dae0;--faint:#f4f6f8;--band:#dcecf7;--bad:#b3261e;
--c0:#16191d;--c1:#0072b2;--c2:#d55e00;--c3:#00805d;--c4:#b0508a;--c5:#a87400;--c6:#3d8fc4}
@media screen and (prefers-color-scheme:dark){:root{
--paper:#12151a;--ink:#e8ebef;--soft:#a0a9b4;--rule:#333b45;--faint:#1a1f26;--band:#17324a;--bad:#ff8a80;
--c0:#e8ebef;--c1:#56b4e9;--c2:#f58a42;--c3:#2fc79a;--c4:#e08fc0;--c5:#e6b035;--c6:#9ecbf0}}
.s0{--c:var(--c0)}.s1{--c:var(--c1)}.s2{--c:var(--c2)}.s3{--c:var(--c3)}.s4{--c:var(--c4)}.s5{--c:var(--c5)}.s6{--c:var(--c6)}
)";

constexpr const char* kText = R"(
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","DejaVu Sans",Arial,sans-serif}
main{max-width:1140px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:30px;line-height:1.2;margin:0 0 10px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:20px;line-height:1.3;margin:52px 0 14px;padding-top:14px;border-top:1px solid var(--rule);font-weight:650}
h3{font-size:16px;margin:28px 0 8px;font-weight:650;overflow-wrap:anywhere}
h3 small{font-weight:400;color:var(--soft);margin-left:4px}
.lead{font-size:20px;line-height:1.45;margin:0;max-width:52em;text-wrap:pretty}
.when{color:var(--soft);margin:10px 0 0}.whole{white-space:nowrap}
.note,.notes{color:var(--soft);font-size:14px;max-width:78em}
.notes{padding-left:18px;margin:14px 0 0}.notes li{margin:3px 0;overflow-wrap:anywhere}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
pre{background:var(--faint);border:1px solid var(--rule);border-radius:6px;padding:12px 14px;overflow-x:auto;font-size:13px;line-height:1.45;margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;margin:0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.bad{color:var(--bad)}.none{color:var(--soft)}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
)";

constexpr const char* kTables = R"(
.wide{overflow-x:auto;position:relative}
table{border-collapse:collapse;font-size:14px;line-height:1.4;font-variant-numeric:tabular-nums}
th,td{padding:7px 10px;text-align:right;vertical-align:top;border-bottom:1px solid var(--rule)}
th{font-weight:500}thead th{color:var(--soft);font-size:13px;vertical-align:bottom}
tbody th,tr:first-child>th:first-child{text-align:left;padding-left:0}
td:last-child,th:last-child{padding-right:0}
td small,th small{display:block;color:var(--soft);font-size:12.5px;font-weight:400}
.summary{width:100%}.summary td{white-space:nowrap}.summary td>span{display:block}
.summary thead th[scope=colgroup]{text-align:center;border-bottom-color:var(--soft);padding:7px 4px}
.summary tbody th{min-width:150px;overflow-wrap:anywhere}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;background:var(--c);margin-right:8px}
.best{display:inline-block;font-size:12px;color:var(--c1);border:1px solid currentColor;border-radius:9px;padding:0 7px;white-space:nowrap}
.worst{font-size:13px}.worst th,.worst td{padding-top:4px;padding-bottom:4px}
.worst th[scope=row]{max-width:230px}.worst th[scope=row],.path{overflow-wrap:anywhere}
.files td{text-align:left}.files .amount{text-align:right;white-space:nowrap}.files .path{min-width:180px}
.files th:nth-child(-n+3),.files th:nth-child(5){text-align:left}
.stages{width:100%}.stages .amount{white-space:nowrap}.stages .bar{width:60%;vertical-align:middle}
.stages th:last-child{text-align:left;padding-left:10px}
.share{display:block;width:100%;height:12px;fill:var(--c1)}
details{margin-top:10px;font-size:14px}summary{cursor:pointer;color:var(--soft)}
details td,details th{padding:3px 10px;border-bottom:0}
)";

constexpr const char* kFigures = R"(
svg{font-family:inherit;overflow:visible}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:28px 40px}
figure{margin:0;max-width:620px}
figcaption{color:var(--soft);font-size:14px;margin-top:6px}figcaption b{color:var(--ink);font-weight:600}
.chart,.panel{display:block;width:100%;height:auto}
.errors{display:grid;grid-template-columns:minmax(0,1fr) max-content;gap:18px 36px;align-items:start}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,194px),1fr));gap:14px 18px}
text{fill:var(--ink);font-size:12px}
.tick{fill:var(--soft);font-size:11px;font-variant-numeric:tabular-nums}
.title{fill:var(--soft);font-size:12.5px}
.point{font-size:13px;font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.panel .tick{font-size:12px}.role{font-size:13.5px;font-weight:600}
path,polyline{fill:none}
.curve{stroke:var(--c);stroke-width:1.6;stroke-linejoin:round}.curve:hover{stroke-width:2.6}
.d1{stroke-dasharray:7 3}.d2{stroke-dasharray:2 2.5}.d3{stroke-dasharray:9 3 2 3}
.grid{stroke:var(--rule);stroke-width:.7}.axis{stroke:var(--soft);stroke-width:1}
.band{fill:var(--band)}.reference{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:5 4}
.front{stroke:var(--soft);stroke-width:1.2;opacity:.6}.leader{stroke:var(--soft);stroke-width:.8}
.marker{fill:var(--c);stroke:var(--paper);stroke-width:1.2}.marker.s0{fill:var(--paper);stroke:var(--c);stroke-width:2.2}
.whisker{stroke:var(--c);stroke-width:1.6}
.bars path{fill:var(--c);opacity:.5}
@supports (fill:color-mix(in srgb,red,blue)){.bars path{fill:color-mix(in srgb,var(--c) 48%,var(--paper));opacity:1}}
.bars.worst path,.bars g:hover path{fill:var(--c);opacity:1}
.bars path.hit{opacity:0;pointer-events:all}.bars g:hover path.hit{opacity:.14}
.bars .largest{fill:none;stroke:var(--c);stroke-width:1;opacity:1}
text.bad{fill:var(--bad);font-weight:700}
)";

constexpr const char* kNarrow = R"(
@media screen and (max-width:1060px){
.errors{grid-template-columns:minmax(0,1fr)}
.summary,.summary tr,.summary tbody th,.summary td{display:block}
.summary tbody{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));gap:12px 16px}
.summary thead{display:none}
.summary tr{border:1px solid var(--rule);border-radius:8px;padding:8px 14px}
.summary tbody th{padding:4px 0 8px;font-size:16px;border:0}
.summary td{display:flex;justify-content:space-between;gap:16px;padding:5px 0;border-top:1px solid var(--rule);border-bottom:0}
.summary td::before{content:attr(data-label);color:var(--soft);white-space:normal;overflow-wrap:anywhere}
.summary td>span{text-align:right}
}
@media screen and (max-width:640px){
main{padding:24px 16px 48px}h1{font-size:25px}.lead{font-size:18px}h2{margin-top:40px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:10px}
.panel{max-width:330px}
.stages .bar,.stages th:last-child{display:none}
.stages td:nth-child(3){padding-right:0}
}
)";

constexpr const char* kPaper = R"(
@media print{
@page{margin:14mm}
:root{color-scheme:light}body{font-size:10.5pt}main{max-width:none;padding:0}
h1{font-size:18pt}h2{font-size:13pt;margin:16pt 0 7pt;padding-top:8pt;break-after:avoid}h3{break-after:avoid}.lead{font-size:12.5pt}
table,thead th,.note,.notes,figcaption{font-size:8.5pt;line-height:1.35}.notes{margin-top:6pt}.worst{font-size:8pt}.summary th,.summary td{padding:4px 5px}
td small,th small{font-size:7.5pt}
.charts{grid-template-columns:1fr 1fr;gap:16px 24px}.panels{grid-template-columns:repeat(3,1fr)}.errors{display:block}.worst{margin-top:10px}
figure,.panel,.worst,tr,dl{break-inside:avoid}details:not([open]){display:none}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:8pt}
.best{font-size:7pt}.wide{overflow:visible}.key,.share,.band{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
)";

}  // namespace

Markup stylesheet() {
  auto style = Markup::trusted("<style>");
  for (const char* part : {kColours, kText, kTables, kFigures, kNarrow, kPaper})
    style += Markup::trusted(part);
  return style + Markup::trusted("</style>");
}

}  // namespace qtk::report
