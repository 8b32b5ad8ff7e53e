/** The columns that a search looks into: texts that contain what was typed, numbers and dates that equal it. */
export interface Searched {
  texts: readonly string[];
  numbers: readonly string[];
  dates: readonly string[];
}

/** The columns that what was typed can equal: a number's, a date's (2027-05-18), or none. */
export function equalColumns(searched: Searched, typed: string): readonly string[] {
  if (/^-?\d+(\.\d+)?$/.test(typed)) {
    return searched.numbers;
  }
  return /^\d{4}-\d{2}-\d{2}$/.test(typed) && !Number.isNaN(Date.parse(typed)) ? searched.dates : [];
}
