(function () {
  "use strict";
  var counted = document.getElementById("league-count");

  function value(row, column) {
    var given = row.cells[column].dataset.value;
    if (given === undefined || given === "") return null;
    return isNaN(given) ? given : Number(given);
  }

  // What has no figure comes last, whichever way the column is sorted.
  function order(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b));
  }

  function sort(table, heading) {
    var column = heading.cellIndex;
    var first = heading.classList.contains("number") ? "descending" : "ascending";
    var other = first === "ascending" ? "descending" : "ascending";
    var way = heading.getAttribute("aria-sort") === first ? other : first;
    var sign = way === "ascending" ? 1 : -1;
    var body = table.tBodies[0];
    var rows = Array.from(body.rows).map(function (row) { return [value(row, column), row]; });
    rows.sort(function (a, b) { return order(a[0], b[0], sign); });
    body.append.apply(body, rows.map(function (pair) { return pair[1]; }));
    heading.parentNode.querySelectorAll("[aria-sort]").forEach(function (th) { th.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", way);
  }

  function makeSortable(table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (heading) {
      if (heading.classList.contains("bar")) return;
      var button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append.apply(button, Array.from(heading.childNodes));
      heading.append(button);
      button.addEventListener("click", function () { sort(table, heading); });
    });
  }

  function filter(table, fields) {
    var shown = 0;
    Array.from(table.tBodies[0].rows).forEach(function (row) {
      row.hidden = !fields.every(function (field) {
        var said = row.cells[field.dataset.filter].textContent;
        if (field.tagName === "SELECT") return field.value === "" || said === field.value;
        return said.toLowerCase().includes(field.value.trim().toLowerCase());
      });
      shown += row.hidden ? 0 : 1;
    });
    counted.textContent = "Showing " + shown + " of " + table.tBodies[0].rows.length;
  }

  document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
  var form = document.querySelector("form.filters"), league = document.getElementById("league");
  if (!form || !league) return;
  var fields = Array.from(form.querySelectorAll("[data-filter]"));
  form.hidden = false;
  form.addEventListener("input", function () { filter(league, fields); });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  filter(league, fields);
})();
