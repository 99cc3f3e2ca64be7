variable "name" {
  description = "What the role, its policies and its instance profile are called."
  type        = string
  default     = "driftd"
}

variable "mode" {
  description = "observe: driftd looks and reports. enforce: it replaces drifted instances, too."
  type        = string
  default     = "observe"

  validation {
    condition     = contains(["observe", "enforce"], var.mode)
    error_message = "mode is observe or enforce."
  }
}

variable "principals" {
  description = "ARNs of roles or users that may assume the role: driftd's own, where it runs in another account. Without any, an EC2 instance in this account with the instance profile may."
  type        = list(string)
  default     = []
}

variable "external_id" {
  description = "What principals of another account have to say (external_id of driftd's configuration); null: nothing."
  type        = string
  default     = null
}

variable "manifests_bucket" {
  description = "A bucket that manifests are published in (manifests_from of driftd's configuration); null: none."
  type        = string
  default     = null
}

variable "manifests_prefix" {
  description = "Below which prefix of that bucket, without a slash at its end; empty: the whole bucket."
  type        = string
  default     = ""
}

variable "looks_bucket" {
  description = "The bucket of groups that are looked at by SSM Run Command (reach: {ssm: …}); null: none."
  type        = string
  default     = null
}

variable "looks_prefix" {
  description = "The folder in it, as in reach: {ssm: {prefix: …}}."
  type        = string
  default     = "driftd"
}

variable "instance_connect_user" {
  description = "The user of groups that are looked at by EC2 Instance Connect (reach: {ssh: {instance_connect: true}}); null: none."
  type        = string
  default     = null
}

variable "sessions_queue" {
  description = "Whether a queue tells driftd who was let in (events of driftd's configuration). A trail that logs management events has to be there."
  type        = bool
  default     = false
}

variable "out_of_band" {
  description = "Whether root disks are read from outside (out_of_band: {every: …}, driftd audit --out-of-band)."
  type        = bool
  default     = false
}

variable "permissions_boundary" {
  description = "The ARN of a permissions boundary for the role; null: none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for all that is made."
  type        = map(string)
  default     = {}
}
