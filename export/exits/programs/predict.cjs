// Answer texts with the model in the folder `model`: npm install onnxruntime-node; node predict.cjs TEXT…
// A model with languages takes the language before each text: node predict.cjs en "a text" ne "another".
const path = require("node:path");
const ort = require("onnxruntime-node");

async function main(given) {
  const file = path.join(__dirname, "model", "model.onnx");
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1 });
  const step = session.inputNames.length;
  for (let first = 0; first + step <= given.length; first += step) { // one by one: a call is padded to its longest text
    const feeds = { texts: new ort.Tensor("string", [given[first + step - 1]], [1]) };
    if (step > 1) feeds.languages = new ort.Tensor("string", [given[first]], [1]);
    const found = await session.run(feeds);
    console.log(["text", first / step + 1].join("\t"));
    for (const name of session.outputNames) {
      const value = found[name];
      const shown = value.type === "bool" ? Array.from(value.data, Boolean) : Array.from(value.data);
      console.log([name, ...shown].join("\t"));
    }
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
