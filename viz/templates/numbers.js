// Numbers as the demos write them: equal to `shown` of viz/demos/numbers.py, which tests compare.
const NOT_FINITE = { nan: NaN, inf: Infinity, "-inf": -Infinity };

// A number of the recording: what no JSON can hold comes as text.
const unpack = (number) => (typeof number === "string" ? NOT_FINITE[number] : number);

function shown(x, digits = 4) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const size = Math.abs(x);
  const sign = x < 0 ? "-" : "";
  if (Number.isInteger(x) && size < 1e6) return sign + size;
  const [mantissa, power] = size.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 6) return `${sign}${mantissa}e${exponent}`;
  return sign + size.toFixed(Math.max(0, digits - 1 - exponent));
}
