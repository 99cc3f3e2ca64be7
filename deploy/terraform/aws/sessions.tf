# A queue that tells driftd who was let in, seconds after CloudTrail saw it, which needs a trail that logs management
# events; and which instances came and went.

locals {
  sessions = var.sessions_queue ? 1 : 0
  rules    = concat(aws_cloudwatch_event_rule.sessions[*].arn, aws_cloudwatch_event_rule.states[*].arn)
}

resource "aws_sqs_queue" "sessions" {
  count = local.sessions

  name                       = "${var.name}-sessions"
  sqs_managed_sse_enabled    = true
  message_retention_seconds  = 345600
  visibility_timeout_seconds = 900 # as driftd says with each message that it receives
  tags                       = var.tags

  # driftd deletes what it has stored, and what is not for it; what waits for a look it receives 4 times an hour, for
  # two days at most. What is received oftener than that, nobody could read.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[0].arn
    maxReceiveCount     = 250
  })
}

resource "aws_sqs_queue" "dead" {
  count = local.sessions

  name                      = "${var.name}-sessions-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  count = local.sessions

  queue_url = aws_sqs_queue.dead[0].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.sessions[0].arn]
  })
}

# Whoever can send may claim that somebody was on an instance: only the rules may, whatever a policy of IAM's says.
data "aws_iam_policy_document" "sessions" {
  count = local.sessions

  statement {
    sid       = "TheRulesSend"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.sessions[0].arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = local.rules
    }
  }

  statement {
    sid       = "NobodyElseSends"
    effect    = "Deny"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.sessions[0].arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:SourceArn"
      values   = local.rules
    }
  }
}

resource "aws_sqs_queue_policy" "sessions" {
  count = local.sessions

  queue_url = aws_sqs_queue.sessions[0].id
  policy    = data.aws_iam_policy_document.sessions[0].json
}

# The patterns are made from the events that driftd's code reads.
resource "aws_cloudwatch_event_rule" "sessions" {
  count = local.sessions

  name          = "${var.name}-sessions"
  description   = "Who is let in to instances by AWS itself, for driftd: docs/aws.md of driftd"
  event_pattern = file("${path.module}/policies/events.json")
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "sessions" {
  count = local.sessions

  rule = aws_cloudwatch_event_rule.sessions[0].name
  arn  = aws_sqs_queue.sessions[0].arn
}

resource "aws_cloudwatch_event_rule" "states" {
  count = local.sessions

  name          = "${var.name}-states"
  description   = "Instances that come and go, for driftd: docs/aws.md of driftd"
  event_pattern = file("${path.module}/policies/states.json")
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "states" {
  count = local.sessions

  rule = aws_cloudwatch_event_rule.states[0].name
  arn  = aws_sqs_queue.sessions[0].arn
}

resource "aws_iam_policy" "sessions" {
  count = local.sessions

  name        = "${var.name}-sessions"
  description = "What driftd needs to be told of sessions: docs/aws.md of driftd"
  policy      = replace(file("${path.module}/policies/hear-by-sqs.json"), "QUEUE_ARN", aws_sqs_queue.sessions[0].arn)
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "sessions" {
  count = local.sessions

  role       = aws_iam_role.driftd.name
  policy_arn = aws_iam_policy.sessions[0].arn
}
