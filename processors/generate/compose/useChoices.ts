import { choices, type Choice } from "../api";
import { isEntityKey, type EntityKey } from "../entities";
import { useLoad, type Loaded } from "../hooks";
import type { EntityDefinition } from "../model";

/** The records that an entity's references may point to, by entity. */
export function useChoices(definition: EntityDefinition): Loaded<Record<string, readonly Choice[]>> {
  const targets = [...new Set(definition.fields.map((field) => field.target ?? ""))].filter(isEntityKey);
  return useLoad(targets.join(" "), async () => {
    const loaded = await Promise.all(targets.map(async (target): Promise<[EntityKey, Choice[]]> => [target, await choices(target)]));
    return Object.fromEntries(loaded);
  });
}
