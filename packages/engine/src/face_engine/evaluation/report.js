"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);
const config = {
  displaylogo: false,
  // Plotly's own button would upload a figure, with what it shows, to its maker's service.
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

const heights = {};

for (const [name, figure] of Object.entries(figures)) {
  heights[name] = figure.layout.height; // Plotly changes the layout it is given
  Plotly.newPlot(`figure-${name}`, figure.data, figure.layout, config);
}

// Paper is narrower than most windows; two figures should find room on a page, and the tallest one should on one.
const PAPER = { width: 660, half: 360, whole: 940 };
addEventListener("beforeprint", () => {
  for (const [name, height] of Object.entries(heights)) {
    const room = height < PAPER.half * 1.5 ? PAPER.half : PAPER.whole;
    Plotly.relayout(`figure-${name}`, { width: PAPER.width, height: Math.min(height, room) });
  }
});
addEventListener("afterprint", () => {
  for (const [name, height] of Object.entries(heights)) {
    Plotly.relayout(`figure-${name}`, { width: null, height, autosize: true });
  }
});
