export * from './appends.ts'
export * from './capabilities.ts'
export * from './errors.ts'
export * from './storage.ts'
