# The role that driftd acts as. What it may do is made from the calls that driftd's code can make.

locals {
  from_ec2 = length(var.principals) == 0
  objects  = var.manifests_prefix == "" ? "*" : "${var.manifests_prefix}/*"
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    dynamic "principals" {
      for_each = local.from_ec2 ? ["ec2.amazonaws.com"] : []

      content {
        type        = "Service"
        identifiers = [principals.value]
      }
    }

    dynamic "principals" {
      for_each = local.from_ec2 ? [] : [var.principals]

      content {
        type        = "AWS"
        identifiers = principals.value
      }
    }

    dynamic "condition" {
      for_each = local.from_ec2 || var.external_id == null ? [] : [var.external_id]

      content {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [condition.value]
      }
    }
  }
}

resource "aws_iam_role" "driftd" {
  name                 = var.name
  description          = "driftd (${var.mode})"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_policy" "driftd" {
  name        = "${var.name}-${var.mode}"
  description = "What driftd needs to ${var.mode}: docs/aws.md of driftd"
  policy      = file("${path.module}/policies/${var.mode}.json")
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "driftd" {
  role       = aws_iam_role.driftd.name
  policy_arn = aws_iam_policy.driftd.arn
}

resource "aws_iam_instance_profile" "driftd" {
  count = local.from_ec2 ? 1 : 0

  name = var.name
  role = aws_iam_role.driftd.name
  tags = var.tags
}

# To look by Run Command, without SSH.
resource "aws_iam_policy" "looks" {
  count = var.looks_bucket == null ? 0 : 1

  name        = "${var.name}-looks"
  description = "What driftd needs to look by SSM Run Command: docs/aws.md of driftd"
  policy = replace(replace(replace(
    file("${path.module}/policies/look-by-ssm.json"),
    "BUCKET", var.looks_bucket),
    "PREFIX", var.looks_prefix),
  "arn:aws:", "arn:${data.aws_partition.current.partition}:")
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "looks" {
  count = var.looks_bucket == null ? 0 : 1

  role       = aws_iam_role.driftd.name
  policy_arn = aws_iam_policy.looks[0].arn
}

# To look over SSH by keys that EC2 Instance Connect pushes.
resource "aws_iam_policy" "pushes" {
  count = var.instance_connect_user == null ? 0 : 1

  name        = "${var.name}-pushes"
  description = "What driftd needs to look by EC2 Instance Connect: docs/aws.md of driftd"
  policy = replace(replace(
    file("${path.module}/policies/look-by-instance-connect.json"),
    "OSUSER", var.instance_connect_user),
  "arn:aws:", "arn:${data.aws_partition.current.partition}:")
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "pushes" {
  count = var.instance_connect_user == null ? 0 : 1

  role       = aws_iam_role.driftd.name
  policy_arn = aws_iam_policy.pushes[0].arn
}

# To read root disks from outside, by snapshots.
resource "aws_iam_policy" "disks" {
  count = var.out_of_band ? 1 : 0

  name        = "${var.name}-disks"
  description = "What driftd needs to read disks out of band: docs/aws.md of driftd"
  policy = replace(
    file("${path.module}/policies/out-of-band.json"),
  "arn:aws:", "arn:${data.aws_partition.current.partition}:")
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "disks" {
  count = var.out_of_band ? 1 : 0

  role       = aws_iam_role.driftd.name
  policy_arn = aws_iam_policy.disks[0].arn
}

data "aws_iam_policy_document" "manifests" {
  count = var.manifests_bucket == null ? 0 : 1

  statement {
    sid       = "DriftdManifests"
    actions   = ["s3:GetObject"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::${var.manifests_bucket}/${local.objects}"]
  }

  # Without this S3 says "denied" of what is not there.
  statement {
    sid       = "DriftdManifestsListed"
    actions   = ["s3:ListBucket"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::${var.manifests_bucket}"]
  }

  # `driftd doctor` says whether what was published is kept.
  statement {
    sid       = "DriftdManifestsKept"
    actions   = ["s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::${var.manifests_bucket}"]
  }
}

resource "aws_iam_policy" "manifests" {
  count = var.manifests_bucket == null ? 0 : 1

  name        = "${var.name}-manifests"
  description = "Where driftd fetches manifests from"
  policy      = data.aws_iam_policy_document.manifests[0].json
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "manifests" {
  count = var.manifests_bucket == null ? 0 : 1

  role       = aws_iam_role.driftd.name
  policy_arn = aws_iam_policy.manifests[0].arn
}
