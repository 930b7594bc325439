// Opens pages of --format html in a headless Chromium: no error on the console, no request, zoom, search and the graph work by
// mouse and keyboard, and axe finds no violation, at two widths, light and dark.
//
// Usage: report.mjs DIRECTORY_WITH_NODE_MODULES PAGE.html... (needs puppeteer-core and axe-core there, and Chromium on PATH)

import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules, ...pages] = process.argv.slice(2);
const require = createRequire(resolve(modules, "package.json"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
const executablePath = execSync(`command -v ${names.join(" || command -v ")}`, { encoding: "utf8", shell: "/bin/sh" }).trim();

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
try {
  for (const page of pages) {
    await inspect(page);
  }
} finally {
  await browser.close();
}

async function inspect(path) {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  const url = `file://${resolve(path)}`;
  for (const [width, height] of [[1280, 900], [420, 860]]) {
    for (const value of ["light", "dark"]) {
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
      await page.goto(url);
      await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${path}: ${overflow} px wider than a window of ${width}`);
      assert.deepEqual(await violations(page), [], `${path} at ${width} px, ${value}`);
    }
  }
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(url);
  if (await page.$("#map")) await walk(page, path);
  if (await page.$("#graph")) await graph(page, path);
  assert.deepEqual(complaints, [], path);
  assert.deepEqual([...new Set(requests)], [url], path);
  await page.close();
  console.log(`${path}: ok`);
}

/** What axe finds wrong. It runs beside the page, whose own policy does not let it in. */
async function violations(page) {
  const session = await page.createCDPSession();
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  await session.send("Runtime.evaluate", { contextId, expression: axe });
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    contextId,
    expression: "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(' | ')}`))",
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  assert.equal(exceptionDetails, undefined);
  return result.value;
}

/** Zoom by mouse and keyboard, sizes, colors and search. */
async function walk(page, path) {
  const text = (selector) => page.$eval(selector, (element) => element.textContent);
  const tiles = () => page.$$eval("#map > *", (tiles) => tiles.map(({ dataset, className }) => ({ node: dataset.node, className })));
  const first = await tiles();
  assert.ok(first.length > 0, `${path}: nothing on the map`);
  assert.ok(await page.$eval("#map", (map) => [...map.children].every((tile) => tile.offsetLeft >= 0
    && tile.offsetLeft + tile.offsetWidth <= map.clientWidth + 1 && tile.offsetTop + tile.offsetHeight <= map.clientHeight + 1)),
  `${path}: tiles outside of the map`);
  const directory = await page.$("#map button.directory");
  const crumbs = await text("#crumbs");
  if (directory) {
    await directory.click({ offset: { x: 3, y: 3 } });
    assert.notEqual(await text("#crumbs"), crumbs, `${path}: a click does not open a directory`);
    assert.equal(await page.evaluate(() => document.activeElement.parentElement.id), "map");
    await page.keyboard.press("Escape");
    assert.equal(await text("#crumbs"), crumbs, `${path}: Escape does not go back`);
    await page.keyboard.press("Enter");
    assert.notEqual(await text("#crumbs"), crumbs, `${path}: Enter does not open a directory`);
    await (await page.$("#crumbs button")).click();
    assert.equal(await text("#crumbs"), crumbs);
  }
  if (await page.$$eval("#map button", (buttons) => buttons.length > 1)) {
    await page.focus("#map button");
    const from = await page.evaluate(() => document.activeElement.dataset.node);
    const moved = [];
    for (const key of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]) {
      await page.keyboard.press(key);
      moved.push(await page.evaluate(() => document.activeElement.dataset.node));
    }
    assert.ok(moved.some((node) => node !== from), `${path}: arrow keys do not move`);
    assert.equal(await page.$$eval("#map [tabindex='0']", (tiles) => tiles.length), 1);
    assert.ok((await text("#about")).length > 0);
  }
  const name = await page.evaluate(() => {
    const { names, children } = JSON.parse(document.getElementById("data").textContent).map;
    return names.find((name, index) => children[index] < 0 && name.length > 2);
  });
  await page.type("#search", name.toUpperCase());
  assert.match(await text("#found"), /^[1-9][0-9,]* match/, `${path}: ${name} is not found`);
  const rows = await page.$$eval("#list tbody tr", (rows) => rows.map((row) => row.cells[0].textContent.toLowerCase()));
  assert.ok(rows.length > 0 && rows.every((row) => row.includes(name.toLowerCase())), `${path}: ${rows}`);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  assert.equal(await page.$eval("#search", ({ value }) => value), "");
  const isShown = (name) => document.getElementById("about").textContent.toLowerCase().includes(name);
  const shown = page.waitForFunction(isShown, { timeout: 5000 }, name.toLowerCase());
  await shown.catch(async () => assert.fail(`${path}: ${name} is not shown, but ${await text("#about")}`));
  await page.type("#search", "no file has this name");
  assert.match(await text("#found"), /^0 matches/);
  await page.keyboard.press("Escape");
  for (const radio of await page.$$("#measures input")) {
    await radio.click();
    await page.$$eval("#map > *", (tiles) => tiles.length);
  }
  for (const index of await page.$$eval("#coloring option", (options) => options.map(({ value }) => value))) {
    await page.select("#coloring", index);
    assert.ok(await page.$$eval("#legend li", (items) => items.length) > 0 || (await tiles()).length === 0);
  }
}

/** Each library that can be chosen leads to its graph, and from there to a neighbor's. */
async function graph(page, path) {
  const options = await page.$$eval("#library option", (options) => options.map(({ value }) => value));
  assert.ok(options.length > 1, `${path}: no library to choose`);
  assert.ok(await page.$$eval("#graph path", (lines) => lines.length) > 0, `${path}: no lines`);
  await page.select("#library", options[1]);
  const title = () => page.$eval("#graph .middle h3", (title) => title.textContent);
  const before = await title();
  const neighbor = await page.$("#graph > :not(.middle) button");
  await neighbor.click();
  assert.notEqual(await title(), before, `${path}: a click on a library does not show it`);
}
