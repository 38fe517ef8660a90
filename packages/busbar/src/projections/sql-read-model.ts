import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../transaction/database.ts'
import type { SqlRow, Transaction } from '../transaction/transaction.ts'
import type { Projection } from './projection.ts'
import type { Build } from './build.ts'
import type { Builds, PartitionClaim, PartitionProgress, Poison, ReadModel, Step } from './read-model.ts'
import { dropBuild, hide, lockBuilds, makeBuild, readBuilds, show, type SqlBuild } from './sql-builds.ts'
import { sqlModel, type SqlModel } from './sql-model.ts'
import { createTables, nowOf } from './sql-schema.ts'

/** Thrown inside a transaction to take it back; never leaves this file. */
class ClaimLost extends Error {}

/**
 * Read models in SQLite or PostgreSQL. Each build has tables of its own (`totals__b3`), and readers query a view (`totals`) that is
 * pointed at a whole one, so they never see a model that is half built.
 */
export class SqlReadModel implements ReadModel<SqlModel> {
  readonly name: string
  readonly #database: Database
  readonly #now: string
  readonly #builds = new Map<string, SqlBuild>()

  /** @param database Where the tables are; best the one that the application reads them from. */
  constructor(database: Database) {
    this.#database = database
    this.name = database.dialect
    this.#now = nowOf(database.dialect)
  }

  async start(): Promise<void> {
    await this.#database.transaction(createTables)
  }

  async builds(name: string): Promise<Builds> {
    return this.#database.transaction((tx) => readBuilds(tx, name))
  }

  begin(projection: Projection<SqlModel>, anew: boolean): Promise<Build> {
    const { name, version, fingerprint } = projection
    const same = (build: Build): boolean => build.version === version && build.fingerprint === fingerprint
    return this.#database.transaction(async (tx) => {
      const { live, next, last } = await lockBuilds(tx, name)
      if (live !== undefined && !anew && same(live)) return live
      if (next !== undefined && same(next)) return next
      if (next !== undefined) await dropBuild(tx, next)
      const build = await makeBuild(tx, projection, last + 1)
      await tx.execute('UPDATE busbar_projections SET last = ?, next = ? WHERE name = ?', [
        build.number,
        build.number,
        name,
      ])
      return build
    })
  }

  switch(build: Build): Promise<boolean> {
    return this.#switch(build, false)
  }

  /** The same, only while appends are held up (`freeze`). */
  switchFrozen(build: Build): Promise<boolean> {
    return this.#switch(build, true)
  }

  /**
   * Makes appends that keep this projection inline wait for so many milliseconds at most. When it resolves, those that had begun before are
   * committed, and the store's readers see them.
   */
  async freeze(name: string, milliseconds: number): Promise<void> {
    const snapshot = await this.#database.transaction(async (tx) => {
      await tx.execute(`UPDATE busbar_projections SET frozen_until = ${this.#now} + ? WHERE name = ?`, [
        milliseconds,
        name,
      ])
      return tx.dialect === 'postgres' ? tx.execute('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next') : []
    })
    const next = snapshot[0]?.['next'] as string | undefined
    if (next === undefined) return
    // Readers of the log see only what is older than every transaction that still writes.
    for (const until = performance.now() + milliseconds; performance.now() < until; await sleep(5)) {
      const [row] = await this.#execute(
        `SELECT CASE WHEN pg_snapshot_xmin(pg_current_snapshot()) >= ?::xid8 THEN 1 ELSE 0 END AS seen`,
        [next],
      )
      if (Number(row?.['seen']) === 1) return
    }
  }

  async unfreeze(name: string): Promise<void> {
    await this.#execute('UPDATE busbar_projections SET frozen_until = 0 WHERE name = ?', [name])
  }

  /**
   * The live build for an append, inside its transaction, in which it stays the live one; undefined where there is none.
   * `frozen`: appends have to wait a moment.
   */
  async liveIn(tx: Transaction, name: string): Promise<SqlBuild | undefined | 'frozen'> {
    const [row] = await tx.execute(
      `SELECT live, CASE WHEN frozen_until > ${this.#now} THEN 1 ELSE 0 END AS frozen FROM busbar_projections WHERE name = ?` +
        (tx.dialect === 'postgres' ? ' FOR SHARE' : ''),
      [name],
    )
    if (row === undefined || row['live'] === null) return undefined
    if (Number(row['frozen']) === 1) return 'frozen'
    const key = `${Number(row['live'])} ${name}`
    const known = this.#builds.get(key) ?? (await readBuilds(tx, name)).live
    if (known !== undefined) this.#builds.set(key, known)
    return known
  }

  #switch({ name, number }: Build, frozen: boolean): Promise<boolean> {
    return this.#database.transaction(async (tx) => {
      const { live, next } = await lockBuilds(tx, name)
      if (next?.number !== number) return false
      if (frozen && !(await isFrozen(tx, name, this.#now))) return false
      await hide(tx, [...new Set([...(live?.tables ?? []), ...next.tables])])
      await show(tx, next)
      if (live !== undefined) await dropBuild(tx, live)
      if (frozen) await keepByAppends(tx, next)
      await tx.execute('UPDATE busbar_projections SET live = ?, next = NULL, frozen_until = 0 WHERE name = ?', [
        number,
        name,
      ])
      return true
    })
  }

  async claim(
    build: Build,
    partition: number,
    owner: string,
    milliseconds: number,
  ): Promise<PartitionClaim | undefined> {
    const [row] = await this.#execute(
      `UPDATE busbar_projection_partitions SET token = CASE WHEN owner = ? THEN token ELSE token + 1 END, owner = ?,
         expires = ${this.#now} + ?
       WHERE name = ? AND build = ? AND partition = ? AND poison IS NULL AND (owner IS NULL OR owner = ? OR expires < ${this.#now})
         AND NOT EXISTS (SELECT 1 FROM busbar_projections p WHERE p.name = ? AND p.paused = 1)
       RETURNING token, position`,
      [owner, owner, milliseconds, build.name, build.number, partition, owner, build.name],
    )
    if (row === undefined) return undefined
    return { build, partition, owner, token: Number(row['token']), position: row['position'] as string }
  }

  async step(claim: PartitionClaim, work: (model: SqlModel) => Promise<Step>): Promise<PartitionClaim | undefined> {
    const tables = await this.#tablesOf(claim.build)
    if (tables === undefined) return undefined
    try {
      return await this.#database.transaction(async (tx) => {
        // Locks the row: whoever wants the claim waits until this is committed or taken back.
        if (!(await holds(tx, claim))) throw new ClaimLost()
        const { position, applied, caughtUp, skipped } = await work(sqlModel(tx, claim.build, tables))
        await tx.execute(
          `UPDATE busbar_projection_partitions SET position = ?, applied = applied + ?, caught_up = ?, updated_at = ${this.#now}
           WHERE name = ? AND build = ? AND partition = ?`,
          [position, applied, caughtUp ? 1 : 0, ...keyOf(claim)],
        )
        if (skipped !== undefined) await keepSkipped(tx, claim.build, skipped)
        return { ...claim, position }
      })
    } catch (error) {
      if (error instanceof ClaimLost) return undefined
      throw error
    }
  }

  async stopAt(claim: PartitionClaim, poison: Poison): Promise<void> {
    await this.#execute(
      `UPDATE busbar_projection_partitions SET poison = ?, owner = NULL, updated_at = ${this.#now}
       WHERE name = ? AND build = ? AND partition = ? AND owner = ? AND token = ?`,
      [JSON.stringify(poison), ...keyOf(claim), claim.owner, claim.token],
    )
  }

  async release(claim: PartitionClaim): Promise<void> {
    await this.#execute(
      `UPDATE busbar_projection_partitions SET owner = NULL
       WHERE name = ? AND build = ? AND partition = ? AND owner = ? AND token = ?`,
      [...keyOf(claim), claim.owner, claim.token],
    )
  }

  join(name: string, owner: string, milliseconds: number): Promise<number> {
    return this.#database.transaction(async (tx) => {
      await tx.execute(
        `INSERT INTO busbar_projection_members (name, owner, expires) VALUES (?, ?, ${this.#now} + ?)
         ON CONFLICT (name, owner) DO UPDATE SET expires = excluded.expires`,
        [name, owner, milliseconds],
      )
      const [row] = await tx.execute(
        `SELECT COUNT(*) AS members FROM busbar_projection_members WHERE name = ? AND expires >= ${this.#now}`,
        [name],
      )
      return Number(row?.['members'] ?? 1)
    })
  }

  async leave(name: string, owner: string): Promise<void> {
    // Those that left without a word go with the next one that says it.
    await this.#execute(
      `DELETE FROM busbar_projection_members WHERE name = ? AND (owner = ? OR expires < ${this.#now})`,
      [name, owner],
    )
  }

  async progress(name: string): Promise<readonly PartitionProgress[]> {
    const rows = await this.#execute(
      `SELECT build, partition, position, applied, caught_up, updated_at, poison,
         CASE WHEN expires >= ${this.#now} THEN owner END AS owner
       FROM busbar_projection_partitions WHERE name = ? ORDER BY build, partition`,
      [name],
    )
    return rows.map(progressOf)
  }

  async setPaused(name: string, paused: boolean): Promise<void> {
    await this.#database.transaction(async (tx) => {
      await lockBuilds(tx, name)
      await tx.execute('UPDATE busbar_projections SET paused = ? WHERE name = ?', [paused ? 1 : 0, name])
      if (!paused) await tx.execute('UPDATE busbar_projection_partitions SET poison = NULL WHERE name = ?', [name])
    })
  }

  async skipped(name: string): Promise<readonly Poison[]> {
    const rows = await this.#execute(
      `SELECT s.poison FROM busbar_projection_skipped s JOIN busbar_projections p ON p.name = s.name AND p.live = s.build
       WHERE s.name = ? ORDER BY s.position`,
      [name],
    )
    return rows.map(({ poison }) => JSON.parse(poison as string) as Poison)
  }

  async stop(): Promise<void> {}

  #execute(sql: string, params: Parameters<Transaction['execute']>[1]): Promise<readonly SqlRow[]> {
    return this.#database.transaction((tx) => tx.execute(sql, params))
  }

  async #tablesOf(build: Build): Promise<readonly string[] | undefined> {
    const key = `${build.number} ${build.name}`
    let known = this.#builds.get(key)
    if (known === undefined) {
      const { live, next } = await this.#database.transaction((tx) => readBuilds(tx, build.name))
      known = [live, next].find((each) => each?.number === build.number)
      if (known !== undefined) this.#builds.set(key, known)
    }
    return known?.tables
  }
}

/** From here on appends keep the build: whoever has built it must not apply anything to it any more, nor anybody after that. */
async function keepByAppends(tx: Transaction, { name, number }: Build): Promise<void> {
  await tx.execute(
    `UPDATE busbar_projection_partitions SET owner = 'appends', token = token + 1, expires = 1e300 WHERE name = ? AND build = ?`,
    [name, number],
  )
}

async function isFrozen(tx: Transaction, name: string, now: string): Promise<boolean> {
  const rows = await tx.execute(`SELECT 1 AS frozen FROM busbar_projections WHERE name = ? AND frozen_until > ${now}`, [
    name,
  ])
  return rows.length > 0
}

function keyOf({ build, partition }: PartitionClaim): [string, number, number] {
  return [build.name, build.number, partition]
}

async function holds(tx: Transaction, claim: PartitionClaim): Promise<boolean> {
  const rows = await tx.execute(
    `UPDATE busbar_projection_partitions SET token = token WHERE name = ? AND build = ? AND partition = ? AND owner = ? AND token = ?
       AND NOT EXISTS (SELECT 1 FROM busbar_projections p WHERE p.name = ? AND p.paused = 1)
     RETURNING partition`,
    [...keyOf(claim), claim.owner, claim.token, claim.build.name],
  )
  return rows.length > 0
}

async function keepSkipped(tx: Transaction, { name, number }: Build, poison: Poison): Promise<void> {
  await tx.execute(
    `INSERT INTO busbar_projection_skipped (name, build, position, poison) VALUES (?, ?, ?, ?)
     ON CONFLICT (name, build, position) DO UPDATE SET poison = excluded.poison`,
    [name, number, poison.position, JSON.stringify(poison)],
  )
}

function progressOf(row: SqlRow): PartitionProgress {
  return {
    build: Number(row['build']),
    partition: Number(row['partition']),
    position: row['position'] as string,
    applied: Number(row['applied']),
    caughtUp: Number(row['caught_up']) === 1,
    updatedAt: Number(row['updated_at']),
    owner: (row['owner'] as string | null) ?? undefined,
    poison: row['poison'] === null ? undefined : (JSON.parse(row['poison'] as string) as Poison),
  }
}
