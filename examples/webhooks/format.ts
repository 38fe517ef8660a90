/** Numbers for people. */

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

export function perSecond(rate: number): string {
  return `${rate.toFixed(rate < 100 ? 1 : 0)}/s`
}

export function milliseconds(value: number | undefined): string {
  if (value === undefined) return '-'
  return value < 1 ? '<1 ms' : `${count(value)} ms`
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

export function clock(uptime: number): string {
  const seconds = Math.floor(uptime / 1000)
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}
