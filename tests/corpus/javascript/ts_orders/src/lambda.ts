export interface Context {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}
