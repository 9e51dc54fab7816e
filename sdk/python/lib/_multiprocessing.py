"""What `multiprocessing` finds in an isolate: no semaphores, for there are no other processes.

Packages import it at their top (s3transfer, and so boto3) and may never use it; what uses it says what is not there.
"""

flags = {}
