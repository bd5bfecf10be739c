// Sorting and filtering of the tables, and the choice of light or dark. The page is whole without it.
// Text is only ever read from the page and compared; nothing is made of it.
"use strict";
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (row, column) => Number(row.cells[column].dataset.value || NaN);

  // Rows without a number come last in both directions.
  const order = (column, isNumber, sign) => (one, other) => {
    if (!isNumber) return sign * collator.compare(text(one, column), text(other, column));
    const [a, b] = [number(one, column), number(other, column)];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  };

  // A heading sorts one way, then the other, then leaves the order of the report: numbers begin with the largest.
  const makeSortable = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const isNumber = heading.dataset.sort === "number";
      const ways = isNumber ? ["descending", "ascending"] : ["ascending", "descending"];
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const way = ways[ways.indexOf(heading.getAttribute("aria-sort")) + 1];
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        const rows = [...original];
        if (way) {
          heading.setAttribute("aria-sort", way);
          rows.sort(order(column, isNumber, way === "ascending" ? 1 : -1));
        }
        body.append(...rows);
      });
    });
  };

  const makeFilterable = (part, tools) => {
    const [words, kind, told] = ["input", "select", "output"].map((name) => tools.querySelector(name));
    const rows = [...part.querySelector("table").tBodies[0].rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const apply = () => {
      const wanted = words.value.toLowerCase().split(/\s+/);
      const only = kind ? kind.value : "";
      rows.forEach((row, index) => {
        const fits = wanted.every((word) => texts[index].includes(word));
        row.hidden = !fits || (only !== "" && row.dataset.kind !== only);
      });
      const shown = rows.filter((row) => !row.hidden).length;
      told.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    };
    [words, kind].forEach((control) => control && control.addEventListener("input", apply));
    apply();
    tools.hidden = false;
  };

  document.querySelectorAll("[data-part]").forEach((part) => {
    makeSortable(part.querySelector("table"));
    makeFilterable(part, part.querySelector(".tools"));
  });

  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const remembered = "sardonyx-report-colours";
  const button = document.getElementById("theme");
  const use = (theme) => {
    root.dataset.theme = theme;
    button.textContent = `${theme} colours`;
  };
  const recall = () => {
    try {
      return localStorage.getItem(remembered);
    } catch {
      return null; // a page in a sandbox remembers nothing
    }
  };
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    use(next);
    try {
      localStorage.setItem(remembered, next);
    } catch {
      // it lasts as long as the page
    }
  });
  use(themes.includes(recall()) ? recall() : "auto");
  button.hidden = false;
})();
