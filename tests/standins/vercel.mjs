// Vercel, as far as a loopback can be it: the emulator of its projects, deployments, variables and domains, and before it what
// that lacks. It looks for repositories at the GitHub in RESTO_STANDIN_GITHUB_URL, and for records at the name server in
// RESTO_STANDIN_DNS. A build takes until it was looked at once; one of a branch named `broken` fails.
import { randomUUID } from "node:crypto";
import { Resolver } from "node:dns/promises";
import { routed, serve } from "./front.mjs";

const { RESTO_STANDIN_GITHUB_URL: github, RESTO_STANDIN_GITHUB_TOKEN: githubToken, RESTO_STANDIN_DNS: nameServer } = process.env;
const ADDRESS = "192.0.2.76";
const HOST = "cname.vercel-dns.example";
/** Of each deployment: how far it is, where the emulator thinks it is ready, and what it was made of. */
const builds = new Map();
/** Of each project: the deployments that were live, the present one last. */
const live = new Map();
const records = new Map();

const refusal = (code, message) => ({ error: { code, message } });
const refuse = (status, code, message) => ({ status, body: refusal(code, message) });
const json = (asked) => JSON.parse(asked.body.toString() || "{}");

/** A repository that the tests' GitHub has. */
async function repository(path) {
  const answer = await fetch(`${github}/repos/${path}`, {
    headers: { authorization: `Bearer ${githubToken}`, "user-agent": "stand-in", "x-github-api-version": "2026-03-10" },
  });
  return answer.ok ? answer.json() : undefined;
}

/** A deployment of the emulator as it stands here. */
function standing(deployment) {
  const build = builds.get(deployment.uid);
  if (!build) return deployment;
  const { state, meta, error } = build;
  return { ...deployment, readyState: state, state, ready: deployment.readyAt, meta: { ...deployment.meta, ...meta }, ...error };
}

function project(found) {
  const deployed = live.get(found.id);
  const [org, repo] = found.link?.repo.split("/") ?? [];
  return {
    ...found,
    link: found.link && { ...found.link, org, repo },
    targets: deployed ? { production: { id: deployed.at(-1).id, alias: [`${found.name}.vercel.app`], createdAt: deployed.at(-1).createdAt } } : {},
  };
}

const then = (change) => async (asked) => {
  const { status, body } = await asked.emulated();
  return { status, body: status < 300 ? change(body) : body };
};

const goesLive = async (asked, name, id) => {
  const { body: found } = await asked.emulated({ method: "GET", path: `/v13/deployments/${id}` });
  asked.doubled();
  if (!found.uid) return refuse(404, "not_found", "Deployment not found");
  live.set(name, [...(live.get(name) ?? []), { id, createdAt: found.createdAt }]);
  return { status: 201, body: null };
};

const cancelled = (asked, id) => {
  const build = builds.get(id);
  if (!build || build.state === "READY") return refuse(400, "bad_request", "Deployment cannot be canceled in its current state");
  build.state = "CANCELED";
  return asked.emulated({ method: "GET", path: `/v13/deployments/${id}`, body: undefined }).then(({ body }) => {
    asked.doubled();
    return { status: 200, body: standing(body) };
  });
};

/** Whether the name server shows what leads a name here. */
async function leadsHere(name) {
  const resolver = new Resolver();
  resolver.setServers([nameServer]);
  const told = await Promise.allSettled([resolver.resolve4(name), resolver.resolveCname(name)]);
  return told.some(({ value }) => value?.some((one) => [ADDRESS, HOST].includes(one.toLowerCase())));
}

async function proved({ domain, value }) {
  const resolver = new Resolver();
  resolver.setServers([nameServer]);
  return (await resolver.resolveTxt(domain).catch(() => [])).some((parts) => parts.join("") === value);
}

const answer = routed({
  "GET /v5/user/tokens/current": () => ({ status: 200, body: { token: { id: "t1", scopes: [{ type: "user" }] } } }),
  async "POST /v11/projects"(asked) {
    const wanted = json(asked);
    const found = wanted.gitRepository && (await repository(wanted.gitRepository.repo));
    if (wanted.gitRepository && !found) return refuse(400, "bad_request", "The repository could not be accessed.");
    if (found) Object.assign(wanted.gitRepository, { repoId: found.id, productionBranch: found.default_branch });
    const { status, body } = await asked.emulated({ body: JSON.stringify(wanted) });
    return { status, body: status < 300 ? project(body) : body };
  },
  "GET /v10/projects": then((body) => ({ ...body, projects: body.projects.map(project) })),
  "GET /v9/projects/:project": then(project),
  "PATCH /v9/projects/:project": then(project),
  async "DELETE /v9/projects/:project"(asked) {
    const { status, body } = await asked.emulated();
    return { status: status === 200 ? 204 : status, body: status < 300 ? null : body };
  },
  async "POST /v13/deployments"(asked) {
    const wanted = json(asked);
    const meta = {};
    if (wanted.gitSource) {
      const { body: found } = await asked.emulated({ method: "GET", path: `/v9/projects/${wanted.project}` });
      const commit = await repository(`${found.link.repo}/commits/${wanted.gitSource.sha ?? wanted.gitSource.ref}`);
      if (!commit) return refuse(400, "bad_request", "The branch could not be found.");
      Object.assign(meta, { githubCommitSha: commit.sha, githubCommitMessage: commit.commit.message, githubCommitRef: wanted.gitSource.ref });
    }
    const { status, body } = await asked.emulated();
    if (status >= 300) return { status, body };
    builds.set(body.uid, { state: "QUEUED", meta });
    return { status, body: standing(body) };
  },
  async "GET /v13/deployments/:deployment"(asked) {
    const { status, body } = await asked.emulated();
    if (status >= 300) return { status, body };
    const build = builds.get(body.uid);
    const told = standing(body);
    if (build?.state === "QUEUED") build.state = "BUILDING";
    else if (build?.state === "BUILDING" && build.meta.githubCommitRef === "broken") {
      build.state = "ERROR";
      build.error = { errorCode: "BUILD_FAILED", errorMessage: 'Command "npm run build" exited with 1', errorStep: "buildStep" };
    } else if (build?.state === "BUILDING") {
      build.state = "READY";
      if (body.target === "production") live.set(body.projectId, [...(live.get(body.projectId) ?? []), { id: body.uid, createdAt: body.createdAt }]);
    }
    return { status, body: told };
  },
  "GET /v7/deployments": then((body) => ({ ...body, deployments: body.deployments.map(standing) })),
  "PATCH /v12/deployments/:deployment/cancel": cancelled,
  "POST /v10/projects/:project/promote/:deployment": goesLive,
  "POST /v1/projects/:project/rollback/:deployment": goesLive,
  async "GET /v1/projects/:project/deployments/:deployment/runtime-logs"() {
    return { status: 200, body: { timestampInMs: Date.now(), level: "error", source: "serverless", message: "No stock left", responseStatusCode: 500 } };
  },
  async "POST /v10/projects/:project/env"(asked) {
    const { status, body } = await asked.emulated();
    return status < 300 ? { status: 201, body: { created: body.envs?.[0] ?? body, failed: [] } } : { status, body };
  },
  async "POST /v9/projects/:project/domains/:domain/verify"(asked) {
    const { status, body: found } = await asked.emulated({ method: "GET", path: asked.path.replace(/\/verify$/, "") });
    if (status >= 300) return { status, body: found };
    if (!found.verified && !(await proved(found.verification[0]))) return refuse(400, "missing_txt_record", "Domain is missing required TXT record");
    return asked.emulated();
  },
  async "GET /v6/domains/:domain/config"(asked, name) {
    const misconfigured = !(await leadsHere(name));
    return { status: 200, body: {
      misconfigured, configuredBy: misconfigured ? null : "A", acceptedChallenges: [],
      recommendedIPv4: [{ rank: 1, value: [ADDRESS] }], recommendedCNAME: [{ rank: 1, value: `${HOST}.` }],
    } };
  },
  "GET /v5/domains/:domain/records": (asked, domain) => ({ status: 200, body: { records: records.get(domain) ?? [], pagination: { next: null } } }),
  "POST /v2/domains/:domain/records"(asked, domain) {
    const { mxPriority, ...wanted } = json(asked);
    const id = `rec_${randomUUID()}`;
    records.set(domain, [{ id, ...wanted, mxPriority, createdAt: Date.now() }, ...(records.get(domain) ?? [])]);
    return { status: 200, body: { uid: id } };
  },
  "DELETE /v2/domains/:domain/records/:id"(asked, domain, id) {
    const known = records.get(domain) ?? [];
    if (!known.some((record) => record.id === id)) return refuse(404, "not_found", "The record was not found.");
    records.set(domain, known.filter((record) => record.id !== id));
    return { status: 200, body: {} };
  },
}, (asked) => asked.emulated());

const token = "plainly-a-token-of-the-tests";
const seed = { tokens: { [token]: { login: "ada", scopes: [] } }, vercel: { users: [{ username: "ada", name: "Ada", email: "ada@example.com" }] } };
await serve({ variable: "RESTO_STANDIN_VERCEL_URL", service: "vercel", token, seed, answer, refusal });
