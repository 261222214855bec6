// Renders /openapi.json. Everything is put in as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function resolve(api, thing) {
  if (!thing || !thing.$ref) return thing;
  return thing.$ref.slice(2).split("/").reduce((at, key) => at && at[key], api);
}

// A type in a few words.
function words(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const of = schema.oneOf || schema.anyOf || schema.allOf;
  if (of) return of.map(words).filter((word) => word !== "null").join(" or ");
  const type = [].concat(schema.type || "any").filter((word) => word !== "null").join(" or ");
  if (type === "array") return "list of " + words(schema.items);
  if (schema.additionalProperties) return "map of " + words(schema.additionalProperties);
  return schema.format ? type + " (" + schema.format + ")" : type;
}

function table(rows) {
  const made = element("table");
  for (const row of rows) {
    const line = made.appendChild(element("tr"));
    line.appendChild(element("th")).appendChild(element("code", "", row[0]));
    line.appendChild(element("td", "", row[1]));
    line.appendChild(element("td", "", row[2] || ""));
  }
  return made;
}

// The fields of an object, and of the objects that its lists hold.
function fields(api, schema, into, seen) {
  if (!schema) return;
  const name = schema.$ref ? schema.$ref.split("/").pop() : "";
  if (name && seen.has(name)) return;
  seen.add(name);
  const whole = resolve(api, schema);
  for (const one of whole.oneOf || whole.anyOf || whole.allOf || []) fields(api, one, into, seen);
  const properties = Object.entries(whole.properties || {});
  if (properties.length > 0) {
    if (name) into.appendChild(element("h4", "", name));
    into.appendChild(table(properties.map(([key, value]) => {
      const description = value.description || (resolve(api, value) || {}).description;
      return [key, words(value), description];
    })));
  }
  for (const [, value] of properties) {
    if (value.type === "array" && value.items && value.items.$ref) fields(api, value.items, into, seen);
  }
}

function contents(api, content, into) {
  for (const [type, media] of Object.entries(content || {})) {
    into.appendChild(element("p", "", type + ": " + words(media.schema)));
    fields(api, media.schema, into, new Set());
  }
}

function operation(api, path, method, it) {
  const made = element("details");
  made.id = it.operationId + "-" + method;
  const summary = made.appendChild(element("summary"));
  summary.appendChild(element("span", "method", method));
  summary.appendChild(element("span", "path", path));
  summary.appendChild(element("span", "title", it.summary || ""));
  const body = made.appendChild(element("div", "body"));
  if (it.description) body.appendChild(element("p", "", it.description));
  if (it.parameters && it.parameters.length > 0) {
    body.appendChild(element("h3", "", "Parameters"));
    body.appendChild(table(it.parameters.map((one) =>
      [one.name, one.in + ", " + words(one.schema) + (one.required ? ", required" : ""), one.description])));
  }
  if (it.requestBody) {
    body.appendChild(element("h3", "", "Request"));
    contents(api, it.requestBody.content, body);
  }
  for (const [status, found] of Object.entries(it.responses || {})) {
    const response = resolve(api, found);
    body.appendChild(element("h3", "", status + ": " + response.description));
    contents(api, response.content, body);
  }
  return made;
}

function render(api) {
  document.getElementById("about").textContent = api.info.description;
  const groups = document.getElementById("groups");
  const operations = document.getElementById("operations");
  for (const tag of api.tags) {
    const link = groups.appendChild(element("a", "", tag.name));
    link.href = "#" + tag.name;
    const title = operations.appendChild(element("h2", "", tag.name));
    title.id = tag.name;
    operations.appendChild(element("p", "", tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        const it = item[method];
        if (it && it.tags[0] === tag.name) operations.appendChild(operation(api, path, method, it));
      }
    }
  }
}

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(render)
  .catch((error) => { document.getElementById("about").textContent = "Cannot read openapi.json: " + error; });
