// SPDX-License-Identifier: Apache-2.0
// Icons: drawn on a 24 px grid, 1.75 px lines, in the colour of the text. Decorative by default.
const PATHS = {
  mail: "M3.5 5.5h17v13h-17zM3.5 7l8.5 6.5L20.500 7",
  apps: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  device: "M4 5h16v11H4zM2 20h20M9 16v4M15 16v4",
  laptop: "M5 5h14v10H5zM2 19h20",
  session: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 7v5l3.5 2",
  key: "M15.5 4a4.5 4.5 0 1 0-4.2 6.1L4 17.4V20h3.2v-2.3h2.3v-2.3h2.2l1.2-1.2A4.5 4.5 0 0 0 15.5 4zM16 8h.01",
  eye: "M2.5 12S6 5.5 12 5.5S21.5 12 21.5 12S18 18.5 12 18.5S2.5 12 2.5 12zM12 9.3a2.7 2.7 0 1 0 0 5.4a2.7 2.7 0 0 0 0-5.4z",
  refusal: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM5.7 5.7l12.6 12.6",
  overview: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  people: "M9 4.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7zM2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 5a3.2 3.2 0 0 1 0 6M18 14.4c2.2.8 3.5 2.8 3.5 5.6",
  resource: "M4 7.5C4 5.6 7.6 4 12 4s8 1.6 8 3.5S16.4 11 12 11S4 9.4 4 7.5zM4 7.5v9C4 18.4 7.6 20 12 20s8-1.6 8-3.5v-9M4 12c0 1.9 3.6 3.5 8 3.5s8-1.6 8-3.5",
  policy: "M12 3l7.5 3v5.5c0 4.6-3 7.9-7.5 9.5c-4.500-1.600-7.500-4.900-7.500-9.500V6zM8.500 12l2.500 2.500l4.500-5",
  ledger: "M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11M9 8h6",
  health: "M3 12h4l2.500-6l4 12l2.500-6H21",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.500l4.500 4.500L19 7.500",
  minus: "M6 12h12",
  plus: "M12 5v14M5 12h14",
  hand: "M8 12V6.500a1.500 1.500 0 0 1 3 0V11M11 10.500V5a1.500 1.500 0 0 1 3 0v6M14 11V6.500a1.500 1.500 0 0 1 3 0V14c0 4-2.500 6.500-6 6.500c-2.800 0-4-1.200-5.500-3.600L4 14.200c-.8-1.400.9-2.600 2-1.500l2 2",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  sun: "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300L19 19M5 19l1.700-1.700M17.300 6.700L19 5",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 3v18",
  out: "M14 4h5v16h-5M10 8l-4 4l4 4M6 12h9",
  right: "M9 5l7 7l-7 7",
  left: "M15 5l-7 7l7 7",
  up: "M5 15.500l7-7l7 7",
  down: "M5 9l7 7l7-7",
  search: "M10.500 4a6.500 6.500 0 1 0 0 13a6.500 6.500 0 0 0 0-13zM15.500 15.500L21 21",
  alert: "M12 4l9.500 16h-19zM12 10v4.500M12 17.500h.01",
  info: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 11v5.500M12 7.500h.01",
  link: "M10 14a4 4 0 0 0 5.700 0l3.600-3.600a4 4 0 0 0-5.700-5.700L12 6.300M14 10a4 4 0 0 0-5.700 0l-3.600 3.600a4 4 0 0 0 5.700 5.700l1.600-1.600",
  passkey: "M9 4.500a3.500 3.500 0 1 0 0 7a3.500 3.500 0 0 0 0-7zM2.500 20c0-3.600 2.900-6 6.500-6c1.200 0 2.300.3 3.300.8M17.500 9a2.800 2.800 0 0 0-1.300 5.300V20l1.600 1.500l1.700-1.700l-1.300-1.500l1.300-1.500l-1-1.200a2.800 2.800 0 0 0-1-6.600z",
  phone: "M7 3h10v18H7zM11 18h2",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  globe: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM3 12h18M12 3c2.500 2.600 3.800 5.600 3.800 9s-1.300 6.400-3.800 9c-2.500-2.600-3.800-5.600-3.800-9S9.500 5.600 12 3z",
  terminal: "M3.500 5h17v14h-17zM7 9.500l3 2.500l-3 2.500M12.500 15H16",
  download: "M12 4v11M7 10.500l5 5l5-5M4.500 20h15",
  refresh: "M20 11a8 8 0 0 0-14.500-3.500L4 9M4 4v5h5M4 13a8 8 0 0 0 14.500 3.500L20 15M20 20v-5h-5",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  external: "M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9",
  user: "M12 4a4 4 0 1 0 0 8a4 4 0 0 0 0-8zM4.500 20.500c0-4 3.300-6.500 7.500-6.500s7.500 2.500 7.500 6.500",
  play: "M7 4.500v15l12.500-7.500z",
  pause: "M8 5v14M16 5v14",
  machine: "M4 4h16v7H4zM4 13h16v7H4zM7.500 7.500h.01M7.500 16.500h.01M11 7.500h6M11 16.500h6",
  snow: "M12 3v18M4.200 7.500l15.600 9M4.200 16.500l15.600-9M9.500 4.500L12 7l2.500-2.500M9.500 19.500L12 17l2.500 2.500",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18, label }: { name: IconName; size?: number; label?: string }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
      stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"
      role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"}>
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" class="mark-ground" />
      <path d="M6 9V6h3.500v2h3V6h7v2h3V6H26v3z" class="mark-wall" />
      <path d="M8 11h16v15h-4v-6a4 4 0 0 0-8 0v6H8z" class="mark-wall" />
    </svg>
  );
}
