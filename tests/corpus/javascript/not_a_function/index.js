exports.handler = { wrapped: async () => 1 };
