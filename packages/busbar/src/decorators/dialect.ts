import { ConfigurationError } from '../message/errors.ts'

/**
 * Where TC39 decorators of one class leave what they record: compilers hand them a metadata object only where the symbol
 * exists. The same value is taken by those that bring their own (esbuild, Babel), so all of them find it.
 */
if ((Symbol as { readonly metadata?: symbol }).metadata === undefined) {
  Object.defineProperty(Symbol, 'metadata', { value: Symbol.for('Symbol.metadata'), configurable: true })
}

/** What a decorator was put on, whichever dialect it was called in. */
export interface Decorated {
  /** A class, or the metadata object of one. */
  readonly owner: object
  /** Undefined: the class itself. */
  readonly method: string | symbol | undefined
  /** Class of the method's first parameter, where the compiler left it (legacy, with `emitDecoratorMetadata`). */
  readonly parameter: unknown
}

/** The part of a TC39 decorator's context that is used. */
interface Context {
  readonly kind: string
  readonly name: string | symbol | undefined
  readonly static?: boolean
  readonly private?: boolean
  readonly metadata: object | undefined
}

/**
 * Reads the arguments that a decorator was called with. Which dialect it is shows in the second one: TC39 gives a
 * context, TypeScript's `experimentalDecorators` the name of the method, or nothing for a class.
 *
 * @param decorator Its name, for errors.
 * @throws ConfigurationError for what cannot handle messages: fields, accessors, static and private methods.
 */
export function decorated(decorator: string, args: readonly unknown[]): Decorated {
  const [target, second, descriptor] = args
  if (isContext(second)) return standard(decorator, target as object, second)
  if (second === undefined && typeof target === 'function')
    return { owner: target, method: undefined, parameter: undefined }
  return legacy(decorator, target as object, second as string | symbol, descriptor as PropertyDescriptor | undefined)
}

function standard(decorator: string, target: object, context: Context): Decorated {
  if (context.kind === 'class') return { owner: target, method: undefined, parameter: undefined }
  const name = context.name as string | symbol
  if (context.kind !== 'method') refuse(decorator, name, `a ${context.kind}`)
  if (context.static === true) refuse(decorator, name, 'static')
  if (context.private === true) refuse(decorator, name, 'private (#)')
  if (context.metadata === undefined) {
    throw new ConfigurationError(
      `@${decorator} of ${String(name)} was given no metadata object: compile with TypeScript 5.2 or later, esbuild 0.21.3 ` +
        `or later, Babel's decorators 2023-11, or use experimentalDecorators`,
    )
  }
  return { owner: context.metadata, method: name, parameter: undefined }
}

function legacy(
  decorator: string,
  target: object,
  name: string | symbol,
  descriptor: PropertyDescriptor | undefined,
): Decorated {
  if (typeof target === 'function') refuse(decorator, name, 'static')
  if (typeof descriptor?.value !== 'function') refuse(decorator, name, 'a field or accessor')
  const parameters = (Reflect as MetadataReflect).getMetadata?.('design:paramtypes', target, name)
  return { owner: target.constructor, method: name, parameter: Array.isArray(parameters) ? parameters[0] : undefined }
}

/** What the package `reflect-metadata` adds. */
interface MetadataReflect {
  getMetadata?(key: string, target: object, name: string | symbol): unknown
}

function isContext(value: unknown): value is Context {
  return typeof value === 'object' && value !== null && 'kind' in value
}

function refuse(decorator: string, name: string | symbol, what: string): never {
  throw new ConfigurationError(`@${decorator} is for methods of an instance, and ${String(name)} is ${what}`)
}
