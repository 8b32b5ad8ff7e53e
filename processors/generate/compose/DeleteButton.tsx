import { useState, type ReactNode } from "react";
import { remove, titleOf } from "../api";
import type { EntityKey } from "../entities";
import { notify } from "../hooks";
import type { Row } from "../model";
import { ConfirmDialog } from "./ConfirmDialog";

interface Props {
  entity: EntityKey;
  row: Row;
  small?: boolean;
  onDeleted: () => void;
}

/** Deletes a record once the question is answered. */
export function DeleteButton({ entity, row, small = false, onDeleted }: Props): ReactNode {
  const [asking, setAsking] = useState(false);
  const title = titleOf(entity, row);

  const confirmed = async (): Promise<void> => {
    try {
      await remove(entity, row.id);
      notify(`“${title}” is deleted.`);
      onDeleted();
    } catch (error) {
      notify(`“${title}” could not be deleted: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      setAsking(false);
    }
  };

  return (
    <>
      <button type="button" className={small ? "button small danger" : "button danger"} aria-label={`Delete ${title}`} onClick={() => setAsking(true)}>
        Delete
      </button>
      {asking && (
        <ConfirmDialog
          title={`Delete “${title}”?`}
          message="This cannot be undone."
          action="Delete"
          onConfirm={() => void confirmed()}
          onCancel={() => setAsking(false)}
        />
      )}
    </>
  );
}
