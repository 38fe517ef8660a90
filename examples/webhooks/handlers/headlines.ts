/** What each kind of webhook reads like in the activity of its repository: one sentence, without who and where. */
import type { DataOut } from 'busbar'

import type { Contracts, Kind } from '../contracts.ts'

/** Typed by the contracts: a kind that is missing here, or a field that its schema does not declare, does not compile. */
export const headlines: { readonly [K in Kind]: (data: DataOut<Contracts[K]>) => string } = {
  branch_protection_rule: ({ action, rule }) => `${action} the protection of branch ${rule.name}`,
  check_run: ({ action, check_run }) => `check ${check_run.name} ${check_run.conclusion ?? action}`,
  check_suite: ({ action, check_suite }) =>
    `checks of ${check_suite.head_branch ?? 'a branch'} ${check_suite.conclusion ?? action}`,
  code_scanning_alert: ({ action, alert }) => `code alert #${alert.number} ${action}: ${alert.rule.description}`,
  commit_comment: ({ comment }) => `commented on commit ${comment.commit_id.slice(0, 7)}`,
  create: ({ ref, ref_type }) => `created ${ref_type} ${ref}`,
  delete: ({ ref, ref_type }) => `deleted ${ref_type} ${ref}`,
  dependabot_alert: ({ action, alert }) =>
    `dependency alert #${alert.number} ${action}: ${alert.security_advisory.summary}`,
  deploy_key: ({ action, key }) => `${action} deploy key ${key.title}`,
  deployment: ({ deployment }) => `began to deploy ${deployment.ref} to ${deployment.environment}`,
  deployment_review: ({ action, environment }) => `${action} a review of the deployment to ${environment}`,
  deployment_status: ({ deployment_status: { state, environment } }) => `deployment to ${environment}: ${state}`,
  discussion: ({ action, discussion }) => `${action} discussion #${discussion.number} ${discussion.title}`,
  discussion_comment: ({ action, discussion }) => `${action} a comment in discussion #${discussion.number}`,
  fork: ({ forkee }) => `forked to ${forkee.full_name}`,
  github_app_authorization: ({ action }) => `${action} the authorisation of an app`,
  gollum: ({ pages }) => pages.map((page) => `${page.action} wiki page ${page.title}`).join(', '),
  installation: ({ action, installation }) => `${action} an app for ${installation.account.login}`,
  installation_repositories: ({ repositories_added, repositories_removed }) =>
    `gave an app ${repositories_added.length} repositories and took ${repositories_removed.length}`,
  issue_comment: ({ action, issue }) => `${action} a comment on #${issue.number} ${issue.title}`,
  issues: ({ action, issue }) => `${action} #${issue.number} ${issue.title}`,
  label: ({ action, label }) => `${action} label ${label.name}`,
  marketplace_purchase: ({ action, marketplace_purchase: { account, plan } }) =>
    `${action} ${plan.name} for ${account.login}`,
  member: ({ action, member }) => `${action} member ${member.login}`,
  membership: ({ action, member, team }) => `${action} ${member.login} in team ${team.name ?? 'that is gone'}`,
  merge_group: ({ merge_group }) => `queued a merge into ${branch(merge_group.base_ref)}`,
  meta: ({ action, hook_id }) => `${action} webhook ${hook_id}`,
  milestone: ({ action, milestone }) => `${action} milestone ${milestone.title}`,
  org_block: ({ action, blocked_user }) => `${action} ${blocked_user.login}`,
  organization: ({ action }) => `organisation: ${action.replace('_', ' ')}`,
  package: (data) => `${data.action} package ${data.package.name}`,
  page_build: ({ build }) => `pages ${build.status ?? 'building'}`,
  ping: ({ zen }) => `connected a webhook: ${zen}`,
  project: ({ action, project }) => `${action} project ${project.name}`,
  project_card: ({ action, project_card }) => `${action} card ${project_card.note ?? ''}`.trimEnd(),
  project_column: ({ action, project_column }) => `${action} column ${project_column.name}`,
  projects_v2_item: ({ action, projects_v2_item }) => `${action} a project's ${projects_v2_item.content_type}`,
  public: () => 'made it public',
  pull_request: ({ action, pull_request: { number, title, merged } }) =>
    `${action === 'closed' && merged === true ? 'merged' : action} pull request #${number} ${title}`,
  pull_request_review: ({ review, pull_request }) => `${review.state} pull request #${pull_request.number}`,
  pull_request_review_comment: ({ action, pull_request }) =>
    `${action} a review comment on pull request #${pull_request.number}`,
  pull_request_review_thread: ({ action, pull_request }) =>
    `${action} a thread of pull request #${pull_request.number}`,
  push: ({ ref, commits }) => `pushed ${commits.length} commits to ${branch(ref)}`,
  release: ({ action, release }) => `${action} release ${release.tag_name}`,
  repository: ({ action }) => `${action} the repository`,
  repository_dispatch: ({ action, branch }) => `dispatched ${action} on ${branch}`,
  repository_import: ({ status }) => `import: ${status}`,
  repository_vulnerability_alert: ({ alert }) => `vulnerability in ${alert.affected_package_name}`,
  security_advisory: ({ action, security_advisory }) => `advisory ${security_advisory.ghsa_id} ${action}`,
  sponsorship: ({ sponsorship: { sponsor, sponsorable, tier } }) =>
    `${sponsor.login} sponsors ${sponsorable.login} with ${tier.name}`,
  star: ({ action }) => (action === 'deleted' ? 'took a star away' : 'gave a star'),
  status: ({ state, context }) => `status of ${context}: ${state}`,
  team: ({ action, team }) => `${action.replaceAll('_', ' ')}: team ${team.name}`,
  team_add: ({ team }) => `let in team ${team.name}`,
  watch: () => 'watches',
  workflow_dispatch: ({ workflow, ref }) => `started ${workflow} on ${branch(ref)}`,
  workflow_job: ({ action, workflow_job }) => `job ${workflow_job.name} ${workflow_job.conclusion ?? action}`,
  workflow_run: ({ action, workflow_run }) =>
    `workflow ${workflow_run.name} ${workflow_run.conclusion ?? action}`.replace('  ', ' '),
}

function branch(ref: string): string {
  return ref.replace(/^refs\/(heads|tags)\//, '')
}
