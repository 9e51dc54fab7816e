// `constants`: those of os and fs in one, as Node keeps for old packages.
"use strict";
module.exports = { ...require("os").constants.errno, ...require("os").constants.signals, ...require("fs").constants };
