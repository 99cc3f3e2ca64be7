"""The ``aws`` provider: instances, target groups, volumes and addresses of Amazon EC2, by boto3."""
