import assert from 'node:assert/strict'
import type { Checkpoints, Claim } from '../../../store/index.ts'
import type { StorageCheck } from '../check.ts'
import type { StorageContext } from '../context.ts'
import { upTo } from '../events.ts'

/** Where readers keep their place: one owner at a time, and a late one does no harm. */
export const checkpointChecks: readonly StorageCheck[] = [
  {
    name: 'a name is claimed at the beginning, and nothing is remembered of one that nobody claimed',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      assert.equal(await checkpoints.get('reader'), undefined)
      const claim = await claimed(checkpoints, 'reader', 'one')
      assert.deepEqual([claim.name, claim.owner, claim.position], ['reader', 'one', ''])
      const kept = await checkpoints.get('reader')
      assert.deepEqual([kept?.name, kept?.owner, kept?.position], ['reader', 'one', ''])
      assert.equal(await checkpoints.get('other'), undefined)
    },
  },
  {
    name: 'while one has the claim no other gets it, and each name has a claim of its own',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      await claimed(checkpoints, 'reader', 'one')
      assert.equal(await checkpoints.claim('reader', 'two', 60_000), undefined)
      await claimed(checkpoints, 'Reader', 'two')
      await claimed(checkpoints, 'reader ', 'three')
      assert.equal((await checkpoints.get('reader'))?.owner, 'one')
    },
  },
  {
    name: 'advance remembers a position, which the next claim begins at',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const claim = await claimed(checkpoints, 'reader', 'one')
      for (const position of ['0001', '0005', '0009-ä']) {
        assert.equal(await checkpoints.advance(claim, position), true)
        assert.equal((await checkpoints.get('reader'))?.position, position)
      }
      const updatedAt = (await checkpoints.get('reader'))?.updatedAt ?? 0
      assert.ok(Math.abs(updatedAt - Date.now()) < 300_000, `updatedAt is ${updatedAt}`)
      await checkpoints.release(claim)
      assert.equal((await claimed(checkpoints, 'reader', 'two')).position, '0009-ä')
    },
  },
  {
    name: 'the owner renews its claim under the same token, and it lasts from then on',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const first = await claimed(checkpoints, 'reader', 'one', 400)
      await checkpoints.advance(first, '0003')
      const renewed = await claimed(checkpoints, 'reader', 'one', 600_000)
      assert.deepEqual([renewed.token, renewed.position], [first.token, '0003'])
      await new Promise((resolve) => setTimeout(resolve, 600))
      assert.equal(await checkpoints.claim('reader', 'two', 60_000), undefined, 'the renewal did not count')
      assert.equal(await checkpoints.advance(first, '0004'), true, 'the claim from before its renewal is still the own')
    },
  },
  {
    name: 'a claim that ran out goes to the next, with a greater token, and with the place that is remembered',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const first = await claimed(checkpoints, 'reader', 'one', 200)
      await checkpoints.advance(first, '0042')
      const second = await takenOver(ctx, checkpoints, 'reader', 'two')
      assert.ok(second.token > first.token, `token ${second.token} after ${first.token}`)
      assert.deepEqual([second.owner, second.position], ['two', '0042'])
      assert.equal((await checkpoints.get('reader'))?.owner, 'two')
    },
  },
  {
    name: 'who lost its claim cannot advance: false, and nothing is changed',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const first = await claimed(checkpoints, 'reader', 'one', 200)
      const second = await takenOver(ctx, checkpoints, 'reader', 'two')
      assert.equal(await checkpoints.advance(second, '0010'), true)
      assert.equal(await checkpoints.advance(first, '0099'), false, 'a late claimant advanced')
      assert.equal((await checkpoints.get('reader'))?.position, '0010')
      assert.equal(await checkpoints.advance(second, '0011'), true)
    },
  },
  {
    name: 'an owner that lost its claim and got it again does not advance under the old one',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const first = await claimed(checkpoints, 'reader', 'one', 200)
      const second = await takenOver(ctx, checkpoints, 'reader', 'two')
      await checkpoints.advance(second, '0010')
      await checkpoints.release(second)
      const third = await claimed(checkpoints, 'reader', 'one')
      assert.ok(third.token > second.token)
      assert.equal(await checkpoints.advance(first, '0001'), false, 'the claim from before was taken for the new one')
      assert.equal(await checkpoints.advance(third, '0011'), true)
    },
  },
  {
    name: 'a claim that ran out and that nobody took is still good for an advance',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const claim = await claimed(checkpoints, 'reader', 'one', 100)
      await ctx.eventually(async () => (await checkpoints.get('reader'))?.owner === undefined, 'the claim to run out')
      assert.equal(await checkpoints.advance(claim, '0005'), true)
      assert.equal((await checkpoints.get('reader'))?.position, '0005')
    },
  },
  {
    name: 'a released claim goes to the next at once, and a late release takes nothing from it',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const first = await claimed(checkpoints, 'reader', 'one')
      await checkpoints.release(first)
      assert.equal((await checkpoints.get('reader'))?.owner, undefined)
      const second = await claimed(checkpoints, 'reader', 'two')
      assert.ok(second.token > first.token)
      await checkpoints.release(first)
      assert.equal((await checkpoints.get('reader'))?.owner, 'two', 'a late release ended the claim of another owner')
      assert.equal(await checkpoints.advance(second, '0001'), true)
    },
  },
  {
    name: 'of twenty that claim at once exactly one gets it',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      for (const name of ['a', 'b', 'c']) {
        const claims = await Promise.all(upTo(20).map((n) => checkpoints.claim(name, `owner-${n}`, 60_000)))
        assert.equal(claims.filter((claim) => claim !== undefined).length, 1)
      }
    },
  },
  {
    name: 'delete forgets a name, so that its reader begins anew; not while somebody has the claim',
    async run(ctx) {
      const { checkpoints } = await ctx.storage()
      const claim = await claimed(checkpoints, 'reader', 'one')
      await checkpoints.advance(claim, '0042')
      assert.equal(await checkpoints.delete('reader'), false, 'a claimed name was deleted')
      assert.equal((await checkpoints.get('reader'))?.position, '0042')
      await checkpoints.release(claim)
      assert.equal(await checkpoints.delete('reader'), true)
      assert.equal(await checkpoints.get('reader'), undefined)
      assert.equal((await claimed(checkpoints, 'reader', 'two')).position, '')
      assert.equal(await checkpoints.advance(claim, '0043'), false, 'a claim from before the deletion advanced')
    },
  },
  {
    name: 'claims hold between processes, and that of a process killed with -9 runs out',
    needs: (c) => c.multiProcess,
    async run(ctx) {
      const { lease } = ctx.options
      const [{ checkpoints }, child] = await Promise.all([ctx.storage(), ctx.child()])
      const first = await child.checkpoints('claim', 'reader', 'child', lease)
      assert.ok(first !== undefined)
      assert.equal(await child.checkpoints('advance', first, '0007'), true)
      await child.checkpoints('claim', 'reader', 'child', 600_000)
      assert.equal(await checkpoints.claim('reader', 'own', 60_000), undefined)
      await child.checkpoints('claim', 'reader', 'child', lease)
      await child.kill()
      const second = await takenOver(ctx, checkpoints, 'reader', 'own')
      assert.equal(second.position, '0007')
      assert.ok(second.token > first.token)
    },
  },
]

async function claimed(checkpoints: Checkpoints, name: string, owner: string, milliseconds = 600_000): Promise<Claim> {
  const claim = await checkpoints.claim(name, owner, milliseconds)
  assert.ok(claim !== undefined, `${owner} did not get the claim to '${name}'`)
  return claim
}

/** Claims again and again until the claim before has run out. */
async function takenOver(ctx: StorageContext, checkpoints: Checkpoints, name: string, owner: string): Promise<Claim> {
  let claim: Claim | undefined
  await ctx.eventually(async () => {
    claim = await checkpoints.claim(name, owner, 600_000)
    return claim !== undefined
  }, `the claim to '${name}' to run out`)
  assert.ok(claim !== undefined)
  return claim
}
