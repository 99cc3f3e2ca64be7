output "role_arn" {
  description = "The role's ARN: providers.aws.role of driftd's configuration, where it is assumed."
  value       = aws_iam_role.driftd.arn
}

output "instance_profile" {
  description = "The name of the instance profile for the instance that driftd runs on; null where principals are named."
  value       = one(aws_iam_instance_profile.driftd[*].name)
}

output "sessions_queue" {
  description = "The URL of the queue that tells who was let in: providers.aws.events.queue of driftd's configuration; null without one."
  value       = one(aws_sqs_queue.sessions[*].url)
}
