// SPDX-License-Identifier: Apache-2.0
// A table that becomes a list of cards on a narrow screen, with its loading, empty and error states.
import type { ComponentChildren } from "preact";
import { t } from "../i18n";
import type { List } from "../lib/data";
import { Button, cx, Skeleton } from "./basic";
import { ErrorNote } from "./errors";

export interface Column<T> {
  key: string;
  label: string;
  render: (row: T) => ComponentChildren;
  kind?: "main" | "actions" | "number" | "minor";
}

export function Table<T>({ label, columns, rows, keyOf, onRow, rowClass }: {
  label: string; columns: Column<T>[]; rows: T[]; keyOf: (row: T) => string;
  onRow?: (row: T) => void; rowClass?: (row: T) => string | undefined;
}) {
  return (
    <div class="table-wrap">
      <table class="table">
        <caption class="sr">{label}</caption>
        <thead>
          <tr>{columns.map((c) => <th key={c.key} scope="col" class={c.kind && `col-${c.kind}`}>{c.kind === "actions" ? <span class="sr">{c.label}</span> : c.label}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} class={cx(onRow && "row-link", rowClass?.(row))}
              onClick={onRow && ((event) => {
                if (!(event.target as Element).closest("button,a,input,select")) onRow(row);
              })}>
              {columns.map((c) => (
                <td key={c.key} data-label={c.label} class={c.kind && `col-${c.kind}`}>
                  {c.kind === "main" && onRow
                    ? <button type="button" class="cell-button" onClick={() => onRow(row)}>{c.render(row)}</button>
                    : c.render(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function ListTable<T>({ list, empty, ...table }: {
  list: List<T>; empty: ComponentChildren; label: string; columns: Column<T>[]; keyOf: (row: T) => string;
  onRow?: (row: T) => void; rowClass?: (row: T) => string | undefined;
}) {
  if (list.error && !list.data) return <ErrorNote error={list.error} onRetry={list.reload} />;
  if (!list.data) return <Skeleton rows={6} />;
  if (list.data.length === 0) return <>{empty}</>;
  return (
    <>
      {Boolean(list.error) && <ErrorNote error={list.error} onRetry={list.reload} />}
      <Table {...table} rows={list.data} />
      {list.more && (
        <div class="table-more"><Button busy={list.busy} onClick={list.loadMore}>{t().common.more}</Button></div>
      )}
    </>
  );
}
