// SPDX-License-Identifier: Apache-2.0
// The small parts every page is made of.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { toast } from "../lib/state";
import { Icon, type IconName } from "./icon";

export const cx = (...names: unknown[]): string =>
  names.filter(Boolean).join(" ");

type Tone = "primary" | "plain" | "quiet" | "danger" | "kill";
interface ButtonProps extends Omit<JSX.HTMLAttributes<HTMLButtonElement>, "icon"> {
  tone?: Tone;
  icon?: IconName;
  busy?: boolean;
  small?: boolean;
  wide?: boolean;
  disabled?: boolean;
  type?: "button" | "submit";
}
export function Button({ tone = "plain", icon, busy, small, wide, children, class: extra, disabled, type = "button", ...rest }: ButtonProps) {
  return (
    <button type={type} class={cx("button", `button-${tone}`, small && "button-small", wide && "button-wide", extra as string)}
      disabled={disabled || busy} aria-busy={busy || undefined} {...rest}>
      {busy ? <span class="spinner" aria-hidden="true" /> : icon && <Icon name={icon} size={small ? 16 : 18} />}
      {children != null && <span>{children}</span>}
    </button>
  );
}
export function IconButton({ icon, label, ...rest }: { icon: IconName; label: string } & Omit<JSX.HTMLAttributes<HTMLButtonElement>, "icon" | "label">) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

export function Badge({ tone = "neutral", icon, children, title }: {
  tone?: "neutral" | "good" | "bad" | "warn" | "accent"; icon?: IconName; children: ComponentChildren; title?: string;
}) {
  return (
    <span class={`badge badge-${tone}`} title={title}>
      {icon && <Icon name={icon} size={13} />}
      {children}
    </span>
  );
}

interface FieldProps extends Omit<JSX.HTMLAttributes<HTMLInputElement>, "label"> {
  label: string;
  hint?: ComponentChildren;
  error?: string | null;
  value?: string;
  type?: string;
  name?: string;
  required?: boolean;
  autocomplete?: string;
  inputMode?: string;
  maxLength?: number;
  minLength?: number;
  placeholder?: string;
  pattern?: string;
  readOnly?: boolean;
  list?: string;
  autoFocus?: boolean;
}
export function Field({ label, hint, error, class: extra, autoFocus, ...rest }: FieldProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (autoFocus) input.current?.focus();
  }, [autoFocus]);
  const described = cx(hint && `${id}-hint`, error && `${id}-error`) || undefined;
  return (
    <div class={cx("field", extra as string)}>
      <label for={id}>{label}</label>
      <input id={id} ref={input} class="input" aria-describedby={described} aria-invalid={error ? "true" : undefined} {...(rest as object)} />
      {hint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      {error && <p class="field-error" id={`${id}-error`}><Icon name="alert" size={14} /> {error}</p>}
    </div>
  );
}
export function Select({ label, value, options, onChange, hideLabel }: {
  label: string; value: string; options: { value: string; label: string }[]; onChange: (value: string) => void; hideLabel?: boolean;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id} class={hideLabel ? "sr" : undefined}>{label}</label>
      <div class="select">
        <select id={id} class="input" value={value} onChange={(e) => onChange(e.currentTarget.value)}>
          {options.map((o) => <option key={o.value} value={o.value}>{o.label}</option>)}
        </select>
        <Icon name="down" size={14} />
      </div>
    </div>
  );
}
export function Search({ value, onSearch, label }: { value: string; onSearch: (text: string) => void; label: string }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onSearch(text.trim()), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="search" role="search">
      <Icon name="search" size={16} />
      <input class="input" type="search" aria-label={label} placeholder={label} value={text} maxLength={64}
        onInput={(e) => setText(e.currentTarget.value)} />
    </div>
  );
}

export function Card({ title, actions, children, class: extra, flush }: {
  title?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren; class?: string; flush?: boolean;
}) {
  return (
    <section class={cx("card", flush && "card-flush", extra)}>
      {(title || actions) && (
        <header class="card-head">
          {title && <h2>{title}</h2>}
          {actions && <div class="row">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}
export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <span class="empty-icon"><Icon name={icon} size={26} /></span>
      <h3>{title}</h3>
      {children && <div class="empty-text">{children}</div>}
    </div>
  );
}
export function Skeleton({ rows = 4, kind = "rows" }: { rows?: number; kind?: "rows" | "tiles" }) {
  return (
    <div class={`skeleton skeleton-${kind}`} aria-busy="true" role="status">
      <span class="sr">{t().common.loading}</span>
      {Array.from({ length: rows }, (_, i) => <div key={i} class="skeleton-bar" />)}
    </div>
  );
}

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(t().common.copied);
  } catch {
    toast(t().common.copyFailed, "bad");
  }
}
export function CopyBox({ text, label }: { text: string; label: string }) {
  return (
    <div class="copy-box">
      <code tabIndex={0} aria-label={label}>{text}</code>
      <Button icon="copy" small onClick={() => void copyText(text)}>{t().common.copy}</Button>
    </div>
  );
}
/* A digest, short on screen, whole on hover and in the clipboard. */
export function Digest({ text, head = 10 }: { text: string; head?: number }) {
  return (
    <button type="button" class="digest" title={`${text}\n${t().common.copy}`} onClick={() => void copyText(text)}>
      {text.length > head ? `${text.slice(0, head)}…` : text}
    </button>
  );
}

export function PageHead({ title, lead, actions }: { title: string; lead?: ComponentChildren; actions?: ComponentChildren }) {
  return (
    <header class="page-head">
      <div>
        <h1 tabIndex={-1} id="page-title">{title}</h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {actions && <div class="row page-actions">{actions}</div>}
    </header>
  );
}

export interface TabItem<K extends string> { key: K; label: string; count?: number }
/* Tabs with roving focus: arrows move, Home and End jump. */
export function Tabs<K extends string>({ items, value, onChange, label }: {
  items: TabItem<K>[]; value: K; onChange: (key: K) => void; label: string;
}) {
  const bar = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const at = items.findIndex((item) => item.key === value);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = items[(to + items.length) % items.length];
    if (!next) return;
    onChange(next.key);
    bar.current?.querySelector<HTMLElement>(`[data-key="${next.key}"]`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={bar} onKeyDown={move}>
      {items.map((item) => (
        <button key={item.key} type="button" role="tab" data-key={item.key} aria-selected={item.key === value}
          tabIndex={item.key === value ? 0 : -1} class="tab" onClick={() => onChange(item.key)}>
          {item.label}
          {item.count !== undefined && <span class="tab-count">{item.count}</span>}
        </button>
      ))}
    </div>
  );
}
export function Segmented<K extends string>({ items, value, onChange, label }: {
  items: { key: K; label: string; icon?: IconName }[]; value: K; onChange: (key: K) => void; label: string;
}) {
  const name = useId();
  return (
    <fieldset class="segmented">
      <legend class="sr">{label}</legend>
      {items.map((item) => (
        <label key={item.key} class={cx(item.key === value && "on")}>
          <input type="radio" name={name} checked={item.key === value} onChange={() => onChange(item.key)} />
          {item.icon && <Icon name={item.icon} size={15} />}
          {item.label}
        </label>
      ))}
    </fieldset>
  );
}
export function Facts({ items, wide }: { items: [string, ComponentChildren][]; wide?: boolean }) {
  return (
    <dl class={cx("facts", wide && "facts-wide")}>
      {items.filter(([, value]) => value != null && value !== "" && value !== false).map(([name, value]) => (
        <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  );
}
