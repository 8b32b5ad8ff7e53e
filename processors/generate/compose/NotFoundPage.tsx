import type { ReactNode } from "react";
import { APP_TITLE } from "../entities";
import { useTitle } from "../hooks";
import { Link } from "../router";

export function NotFoundPage(): ReactNode {
  useTitle(`Page not found · ${APP_TITLE}`);
  return (
    <div className="empty">
      <h1>Page not found</h1>
      <p>There is nothing at this address.</p>
      <Link className="button" to="/">
        Back to the start
      </Link>
    </div>
  );
}
