// Opens pages in a headless Chromium, one after the other: node browser.js CHROMIUM.
// Reads a line for each: ADDRESS STATE MESSAGES; waits until the page says STATE
// and shows so many messages, and prints what it shows as one line of JSON. An
// empty line ends it.
'use strict'
const readline = require('readline')
const { chromium } = require('playwright-core')

async function main() {
  const browser = await chromium.launch({
    executablePath: process.argv[2],
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-extensions'],
  })
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  console.log('ready')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === '') break
    const [address, state, messages] = line.split(' ')
    const page = await context.newPage()
    await page.goto(address)
    await page.waitForFunction(([state, n]) =>
      document.getElementById('state').textContent.startsWith(state) &&
      document.querySelectorAll('#messages li').length >= n, [state, Number(messages)], { timeout: 25_000 })
    console.log(JSON.stringify(await page.locator('#messages li').allTextContents()))
    await page.close()
  }
  await browser.close()
}

main().then(() => process.exit(0)).catch(err => {
  console.error(err)
  process.exit(1)
})
