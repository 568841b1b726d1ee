// Sends the bodies of a file in turn, checks the answers, and writes what k6 measured to a file.

import http from "k6/http";
import exec from "k6/execution";
import { SharedArray } from "k6/data";
import { Counter, Trend } from "k6/metrics";

const folder = __ENV.LEXPORT_FOLDER;
const given = JSON.parse(open(`${folder}/given.json`));
const bodies = new SharedArray("bodies", () => JSON.parse(open(`${folder}/bodies.json`)));

const times = new Trend("lexport_times", true);
const answered = new Counter("lexport_answered");
const finished = new Counter("lexport_finished");
const faults = {
  refused: new Counter("lexport_refused"),
  other: new Counter("lexport_other"),
  unanswered: new Counter("lexport_unanswered"),
};

export const options = given.options;

export default function () {
  const sent = exec.instance.currentTestRunDuration;
  const [content, isJson] = bodies[exec.scenario.iterationInTest % bodies.length];
  const answer = http.post(given.url, content, {
    headers: isJson ? given.json : given.text,
    timeout: given.timeout,
    redirects: 0,
  });
  const fault = faultOf(answer);
  const now = exec.instance.currentTestRunDuration;
  if (!fault && now >= given.began && now < given.ended) {
    finished.add(1);
  }
  if (sent < given.began || sent >= given.ended) {
    return;
  }
  if (fault) {
    faults[fault].add(1);
  } else {
    answered.add(1);
    times.add(answer.timings.duration);
  }
}

function faultOf(answer) {
  if (answer.status === 0) {
    return "unanswered";
  }
  const good = given.expect === "label" ? answer.status === 200 : answer.status >= 200 && answer.status < 300;
  if (!good) {
    return "refused";
  }
  if (given.expect === "status") {
    return null;
  }
  let value;
  try {
    value = JSON.parse(answer.body);
  } catch (error) {
    return "other";
  }
  if (given.expect === "path") {
    return found(value, given.path) ? null : "other";
  }
  const each = Array.isArray(value) && value.length ? value : [value];
  return each.every((one) => isObject(one) && given.own.some((name) => name in one)) ? null : "other";
}

function found(value, path) {
  if (!path.length) {
    return value !== null && value !== undefined;
  }
  const [part, ...rest] = path;
  if (part === null) {
    const members = Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    return members.some((member) => found(member, rest));
  }
  if (typeof part === "number") {
    return Array.isArray(value) && found(value[part < 0 ? value.length + part : part], rest);
  }
  return isObject(value) && Object.prototype.hasOwnProperty.call(value, part) && found(value[part], rest);
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

export function handleSummary(data) {
  const ours = Object.entries(data.metrics).filter(([name]) => name === "dropped_iterations" || /^lexport_/.test(name));
  return { [`${folder}/summary.json`]: JSON.stringify(Object.fromEntries(ours)) };
}
