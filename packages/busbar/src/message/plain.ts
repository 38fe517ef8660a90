const { getPrototypeOf } = Object

/** An object literal, also one from another realm or without a prototype. */
export function isPlain(object: object): boolean {
  const prototype: unknown = getPrototypeOf(object)
  if (prototype === Object.prototype || prototype === null) return true
  return getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf')
}

/** Not one of a subclass: that would come back as something else. */
export function isDate(object: object): object is Date {
  return object instanceof Date && getPrototypeOf(object) === Date.prototype
}
