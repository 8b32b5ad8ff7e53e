import type { ReactNode } from "react";

/** Previous and next page; nothing where one page holds it all. */
export function Pagination({ page, pages, onPage }: { page: number; pages: number; onPage: (page: number) => void }): ReactNode {
  if (pages <= 1) {
    return null;
  }
  return (
    <nav className="pagination" aria-label="Pages">
      <button type="button" className="button" disabled={page <= 1} onClick={() => onPage(page - 1)}>
        Previous
      </button>
      <span>
        Page {page} of {pages}
      </span>
      <button type="button" className="button" disabled={page >= pages} onClick={() => onPage(page + 1)}>
        Next
      </button>
    </nav>
  );
}
