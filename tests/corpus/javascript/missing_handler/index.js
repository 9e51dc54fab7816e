exports.hanlder = async () => 'a typo in the name';
