const triggers = {
  PreSignUp_SignUp(event) {
    const { email = '' } = event.request.userAttributes;
    const [, domain] = email.split('@');
    if (!domain) throw new Error('PreSignUp failed with error: e-mail address is required.');
    if (['mailinator.com', 'example.org'].includes(domain.toLowerCase())) {
      const error = new Error(`${domain} is not allowed`);
      error.name = 'UserLambdaValidationException';
      throw error;
    }
    event.response.autoConfirmUser = domain === 'example.com';
    event.response.autoVerifyEmail &&= event.response.autoConfirmUser;
    return event;
  },
  TokenGeneration_Authentication(event) {
    const groups = event.request.groupConfiguration?.groupsToOverride ?? [];
    event.response.claimsOverrideDetails = {
      claimsToAddOrOverride: Object.fromEntries(groups.map((g, i) => [`group:${i}`, g])),
      claimsToSuppress: Object.keys(event.request.userAttributes).filter((k) => k.startsWith('custom:')),
    };
    return event;
  },
};

exports.handler = (event, context, callback) => {
  const trigger = triggers[event.triggerSource];
  try {
    callback(null, trigger ? trigger(event) : event);
  } catch (error) {
    callback(error);
  }
};
