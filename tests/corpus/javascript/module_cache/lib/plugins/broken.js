throw new Error('plugin cannot start');
