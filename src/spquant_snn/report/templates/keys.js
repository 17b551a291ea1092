// Of the marks of a chart one can be tabbed to; arrow keys lead to the others. Without this script all can.
for (const svg of document.querySelectorAll("svg")) {
  const marks = [...svg.querySelectorAll(".mark")];
  const choose = (chosen) => marks.forEach((mark, i) => mark.setAttribute("tabindex", i === chosen ? 0 : -1));
  choose(0);
  svg.addEventListener("keydown", (event) => {
    const here = marks.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const ends = { Home: 0, End: marks.length - 1 }[event.key];
    if (here < 0 || (step === undefined && ends === undefined)) return;
    event.preventDefault();
    const next = ends ?? (here + step + marks.length) % marks.length;
    choose(next);
    marks[next].focus();
  });
}
