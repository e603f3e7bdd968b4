// What the theme leaves undone for readers who use the keyboard or a screen reader. The pages work without it.

document.addEventListener("DOMContentLoaded", () => {
  // docutils marks an entry of the bibliography with a role that ARIA has withdrawn, inside role="list".
  for (const entry of document.querySelectorAll('[role="doc-biblioentry"]')) entry.setAttribute("role", "listitem");

  // The arrow beside a page that has pages below it has no name.
  for (const arrow of document.querySelectorAll(".has-children > details > summary")) {
    arrow.setAttribute("aria-label", `pages below ${arrow.closest("li").querySelector("a").textContent}`);
  }

  // What scrolls sideways on a phone can be reached by key.
  const reachable = () => {
    for (const box of document.querySelectorAll("div.cell_output figure, div.cell_output > .output")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  };
  reachable();
  window.addEventListener("load", reachable); // pictures have their width then

  // On a narrow screen a sidebar opens as a dialog. Whoever closes it goes on from the button that opened it.
  for (const side of ["primary", "secondary"]) {
    const button = document.querySelector(`.${side}-toggle`);
    document.getElementById(`pst-${side}-sidebar-modal`)?.addEventListener("close", () => button?.focus());
  }
});

// The theme takes the focus from a sidebar's button when it is pressed, so that its tooltip goes. Whoever pressed it by
// key (detail is 0) would start again at the top of the page.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".sidebar-toggle");
  if (button && event.detail === 0) setTimeout(() => button.focus());
}, true);
