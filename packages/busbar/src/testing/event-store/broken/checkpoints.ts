import type { Claim } from '../../../store/index.ts'
import { keeping } from './altered.ts'
import type { Defect } from './defect.ts'

/** Places of readers, kept wrong. */
export const checkpointDefects: readonly Defect[] = [
  {
    does: 'gives a claim to whoever asks',
    caughtBy: 'while one has the claim no other gets it, and each name has a claim of its own',
    saying: /undefined/,
    wrap: (storage) =>
      keeping(storage, (sound) => ({
        async claim(name, owner, milliseconds) {
          const kept = await sound.claim(name, owner, milliseconds)
          return kept ?? { name, owner, token: 1, position: '' }
        },
      })),
  },
  {
    does: 'advances without a look at the claim',
    caughtBy: 'who lost its claim cannot advance: false, and nothing is changed',
    saying: /a late claimant advanced/,
    wrap: (storage) =>
      keeping(storage, (sound) => {
        let latest: Claim | undefined
        return {
          async claim(name, owner, milliseconds) {
            const claim = await sound.claim(name, owner, milliseconds)
            latest = claim ?? latest
            return claim
          },
          advance: (_, position) => (latest === undefined ? Promise.resolve(false) : sound.advance(latest, position)),
        }
      }),
  },
  {
    does: 'looks at the owner of a claim and not at its token',
    caughtBy: 'an owner that lost its claim and got it again does not advance under the old one',
    saying: /the claim from before was taken for the new one/,
    wrap: (storage) =>
      keeping(storage, (sound) => {
        const latest = new Map<string, Claim>()
        return {
          async claim(name, owner, milliseconds) {
            const claim = await sound.claim(name, owner, milliseconds)
            if (claim !== undefined) latest.set(owner, claim)
            return claim
          },
          advance: (claim, position) => sound.advance(latest.get(claim.owner) ?? claim, position),
        }
      }),
  },
  {
    does: 'gives every owner the same token',
    caughtBy: 'a claim that ran out goes to the next, with a greater token, and with the place that is remembered',
    saying: /token 1 after 1/,
    wrap: (storage) =>
      keeping(storage, (sound) => ({
        async claim(name, owner, milliseconds) {
          const claim = await sound.claim(name, owner, milliseconds)
          return claim && { ...claim, token: 1 }
        },
      })),
  },
  {
    does: 'gives a renewed claim the old end',
    caughtBy: 'the owner renews its claim under the same token, and it lasts from then on',
    saying: /the renewal did not count/,
    wrap: (storage) =>
      keeping(storage, (sound) => {
        const ends = new Map<string, number>()
        return {
          claim(name, owner, milliseconds) {
            const end = ends.get(name + owner) ?? Date.now() + milliseconds
            ends.set(name + owner, end)
            return sound.claim(name, owner, Math.max(1, end - Date.now()))
          },
        }
      }),
  },
  {
    does: 'releases a claim for whoever once had it',
    caughtBy: 'a released claim goes to the next at once, and a late release takes nothing from it',
    saying: /a late release ended the claim of another owner/,
    wrap: (storage) =>
      keeping(storage, (sound) => {
        let latest: Claim | undefined
        return {
          async claim(name, owner, milliseconds) {
            const claim = await sound.claim(name, owner, milliseconds)
            latest = claim ?? latest
            return claim
          },
          release: (claim) => sound.release(latest ?? claim),
        }
      }),
  },
  {
    does: 'deletes a name that is claimed',
    caughtBy: 'delete forgets a name, so that its reader begins anew; not while somebody has the claim',
    saying: /a claimed name was deleted/,
    wrap: (storage) => keeping(storage, () => ({ delete: () => Promise.resolve(true) })),
  },
  {
    does: 'begins at the beginning with each claim',
    caughtBy: 'advance remembers a position, which the next claim begins at',
    saying: /'' !== '0009-ä'|0009-ä/,
    wrap: (storage) =>
      keeping(storage, (sound) => ({
        async claim(name, owner, milliseconds) {
          const claim = await sound.claim(name, owner, milliseconds)
          return claim && { ...claim, position: '' }
        },
      })),
  },
]
