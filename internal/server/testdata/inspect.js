// Lists what keeps people from reading or using the page that is shown. It is evaluated by the test's browser, not by the page.
(() => {
  const found = [];
  const root = document.documentElement;
  if (!document.title) found.push("it has no title");
  if (document.querySelectorAll("h1").length !== 1) found.push("it has not one heading");
  if (root.scrollWidth > root.clientWidth) found.push(`it is ${root.scrollWidth} wide and scrolls sideways`);

  // The contrast of two colours (WCAG 2.2, relative luminance).
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };

  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const name = `<${element.localName}> ${element.textContent.trim().slice(0, 30)}`;
    if (style.display === "none" || box.width === 0) continue;
    if (box.right > root.clientWidth + 1 || element.scrollWidth > element.clientWidth + 1 && style.display !== "inline")
      found.push(`${name} sticks out`);
    const speaks = [...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (speaks && contrast(style.color, ground(element)) < 4.5)
      found.push(`${name} has a contrast of ${contrast(style.color, ground(element)).toFixed(2)}, less than 4.5`);
    if (speaks && parseFloat(style.fontSize) < 16) found.push(`${name} is smaller than 16 pixels`);
    if (element.localName === "button" || element.localName === "a") {
      if (box.height < 44) found.push(`${name} is ${box.height.toFixed(0)} pixels high: less than a finger wants`);
      if (element.localName === "button" && contrast(ground(element), ground(element.parentElement)) < 3)
        found.push(`${name} can hardly be told from what is around it`);
      if (element === document.activeElement && (style.outlineStyle === "none" || contrast(style.outlineColor, ground(element.parentElement)) < 3))
        found.push(`${name} does not show that it has the keyboard`);
    }
  }
  return found;
})()
