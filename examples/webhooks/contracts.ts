/**
 * One contract for each kind of webhook. A schema names what the handlers use and nothing else: the payloads travel whole,
 * handlers get what is declared here, and a payload that lacks it is refused at publish.
 */
import { event } from 'busbar'
import { z } from 'zod'

const text = z.string()
const account = z.object({ login: text })
const named = z.object({ name: text })
const titled = z.object({ number: z.number(), title: text })
const repositories = z.array(z.object({ full_name: text }))
const pullRequest = titled.extend({ merged: z.boolean().optional() })

/** What nearly every webhook says: who did it, and where. */
const common = {
  sender: account.optional(),
  organization: account.optional(),
  repository: z.object({ full_name: text }).optional(),
}

type Common = z.infer<z.ZodObject<typeof common>>

/** What it is about, and so what order is kept by: the repository, else the organisation, else who did it. */
function subjectOf(data: unknown): string {
  const { repository, organization, sender } = data as Common
  return repository?.full_name ?? organization?.login ?? sender?.login ?? 'github'
}

function webhook<const Name extends string, Fields extends z.ZodRawShape>(kind: Name, fields: Fields) {
  return event(`github.${kind}` as const, z.object({ ...common, ...fields }), { subject: subjectOf })
}

/** The contracts by kind, which is the name that GitHub sends as `X-GitHub-Event`. */
export const contracts = {
  branch_protection_rule: webhook('branch_protection_rule', { action: text, rule: named }),
  check_run: webhook('check_run', { action: text, check_run: named.extend({ conclusion: text.nullable() }) }),
  check_suite: webhook('check_suite', {
    action: text,
    check_suite: z.object({ head_branch: text.nullable(), conclusion: text.nullable() }),
  }),
  code_scanning_alert: webhook('code_scanning_alert', {
    action: text,
    alert: z.object({
      number: z.number(),
      rule: z.object({ description: text, severity: text.nullable().optional() }),
    }),
  }),
  commit_comment: webhook('commit_comment', { action: text, comment: z.object({ commit_id: text }) }),
  create: webhook('create', { ref: text, ref_type: text }),
  delete: webhook('delete', { ref: text, ref_type: text }),
  dependabot_alert: webhook('dependabot_alert', {
    action: text,
    alert: z.object({
      number: z.number(),
      security_advisory: z.object({ severity: text, summary: text }),
    }),
  }),
  deploy_key: webhook('deploy_key', { action: text, key: z.object({ title: text }) }),
  deployment: webhook('deployment', { deployment: z.object({ environment: text, ref: text }) }),
  deployment_review: webhook('deployment_review', { action: text, environment: text }),
  deployment_status: webhook('deployment_status', {
    deployment_status: z.object({ state: text, environment: text }),
  }),
  discussion: webhook('discussion', { action: text, discussion: titled }),
  discussion_comment: webhook('discussion_comment', { action: text, discussion: titled }),
  fork: webhook('fork', { forkee: z.object({ full_name: text }) }),
  github_app_authorization: webhook('github_app_authorization', { action: text }),
  gollum: webhook('gollum', { pages: z.array(z.object({ title: text, action: text })) }),
  installation: webhook('installation', { action: text, installation: z.object({ account }) }),
  installation_repositories: webhook('installation_repositories', {
    repositories_added: repositories,
    repositories_removed: repositories,
  }),
  issue_comment: webhook('issue_comment', { action: text, issue: titled }),
  issues: webhook('issues', { action: text, issue: titled }),
  label: webhook('label', { action: text, label: named }),
  marketplace_purchase: webhook('marketplace_purchase', {
    action: text,
    marketplace_purchase: z.object({ account, plan: named }),
  }),
  member: webhook('member', { action: text, member: account }),
  membership: webhook('membership', { action: text, member: account, team: z.object({ name: text.optional() }) }),
  merge_group: webhook('merge_group', { action: text, merge_group: z.object({ base_ref: text }) }),
  meta: webhook('meta', { action: text, hook_id: z.number() }),
  milestone: webhook('milestone', { action: text, milestone: z.object({ title: text }) }),
  org_block: webhook('org_block', { action: text, blocked_user: account }),
  organization: webhook('organization', { action: text }),
  package: webhook('package', { action: text, package: named }),
  page_build: webhook('page_build', { build: z.object({ status: text.nullable() }) }),
  ping: webhook('ping', { zen: text }),
  project: webhook('project', { action: text, project: named }),
  project_card: webhook('project_card', { action: text, project_card: z.object({ note: text.nullable() }) }),
  project_column: webhook('project_column', { action: text, project_column: named }),
  projects_v2_item: webhook('projects_v2_item', { action: text, projects_v2_item: z.object({ content_type: text }) }),
  public: webhook('public', {}),
  pull_request: webhook('pull_request', { action: text, pull_request: pullRequest }),
  pull_request_review: webhook('pull_request_review', {
    action: text,
    review: z.object({ state: text }),
    pull_request: titled,
  }),
  pull_request_review_comment: webhook('pull_request_review_comment', { action: text, pull_request: titled }),
  pull_request_review_thread: webhook('pull_request_review_thread', { action: text, pull_request: titled }),
  push: webhook('push', { ref: text, commits: z.array(z.object({ id: text })), pusher: named }),
  release: webhook('release', { action: text, release: z.object({ tag_name: text }) }),
  repository: webhook('repository', { action: text }),
  repository_dispatch: webhook('repository_dispatch', { action: text, branch: text }),
  repository_import: webhook('repository_import', { status: text }),
  repository_vulnerability_alert: webhook('repository_vulnerability_alert', {
    action: text,
    alert: z.object({ affected_package_name: text, severity: text.optional() }),
  }),
  security_advisory: webhook('security_advisory', {
    action: text,
    security_advisory: z.object({ ghsa_id: text, severity: text, summary: text }),
  }),
  sponsorship: webhook('sponsorship', {
    action: text,
    sponsorship: z.object({ sponsor: account, sponsorable: account, tier: named }),
  }),
  star: webhook('star', { action: text }),
  status: webhook('status', { state: text, context: text }),
  team: webhook('team', { action: text, team: named }),
  team_add: webhook('team_add', { team: named }),
  watch: webhook('watch', { action: text }),
  workflow_dispatch: webhook('workflow_dispatch', { workflow: text, ref: text }),
  workflow_job: webhook('workflow_job', {
    action: text,
    workflow_job: named.extend({ conclusion: text.nullable().optional() }),
  }),
  workflow_run: webhook('workflow_run', {
    action: text,
    workflow_run: z.object({ name: text, conclusion: text.nullable() }),
  }),
}

export type Contracts = typeof contracts
export type Kind = keyof Contracts

export function isKind(name: string): name is Kind {
  return Object.hasOwn(contracts, name)
}
