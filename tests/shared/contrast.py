"""How well the texts of a page are told from their ground."""

# An expression of JavaScript: of all texts the one with the least contrast by WCAG 2.2 (which asks for 4.5), as
# [contrast, its colour, that of the page or tile behind it, its tag].
WORST = """
(() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((x) => x / 255)
      .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const all = "p, li, th, td, dt, dd, h1, h2, h3, h4, a, small, button, summary, figcaption, caption, svg text";
  let worst = [99];
  for (const e of document.querySelectorAll(all)) {
    const style = getComputedStyle(e), colour = e.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(colour), light(ground(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst[0]) worst = [contrast, colour, ground(e), e.tagName];
  }
  return worst;
})()
"""
