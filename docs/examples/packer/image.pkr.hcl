# An image that is baked, looked at from within and from without, and signed (docs/packer.md).
# The tests of driftd run this very file with Debian's packer and the null builder.

variable "image" {
  description = "What instances call their image: the id that driftd finds its manifest by."
  type        = string
}

variable "artifact" {
  description = "What the builder leaves: a disk (raw or qcow2), an OCI image, or a root directory."
  type        = string
}

variable "artifact_kind" {
  description = "How driftd reads that: disk, oci or root."
  type        = string
  default     = "disk"
}

variable "manifests" {
  description = "Where manifests are kept; the daemon's setting of the same name."
  type        = string
}

variable "signing_key" {
  description = "The private key that signs: driftd manifest keygen."
  type        = string
}

variable "driftd" {
  description = "The program, here where packer runs. Nothing of driftd is installed in the guest."
  type        = string
  default     = "driftd"
}

variable "host" {
  type = string
}

variable "port" {
  type    = number
  default = 22
}

variable "key" {
  description = "The private key that lets packer in, and driftd after it."
  type        = string
}

variable "finish" {
  description = "With the null builder only: the command that makes the artifact of the guest. Others do that themselves."
  type        = string
  default     = "true"
}

# In earnest: source "qemu", "amazon-ebs", … What follows is the same for each.
source "null" "guest" {
  ssh_host             = var.host
  ssh_port             = var.port
  ssh_username         = "root"
  ssh_private_key_file = var.key
}

build {
  sources = ["source.null.guest"]

  # 1. What makes the image what it is.
  provisioner "shell" {
    inline = [
      "echo 'Authorized use only.' >/etc/motd",
      "install -d -m 755 /opt/app && echo 'release 7' >/opt/app/release && chmod 644 /opt/app/release",
    ]
  }

  # 2. What no instance should inherit, but for what the next step needs.
  provisioner "shell" {
    script = "${path.root}/clean.sh"
  }

  # 3. The look from within, over SSH, by the key and to the address that packer has.
  provisioner "shell-local" {
    environment_vars = [
      "DRIFTD_SSH__KEY=${var.key}",
      "DRIFTD_SSH__KNOWN_HOSTS=${var.manifests}/${var.image}.known_hosts",
      "DRIFTD=${var.driftd}",
      "TARGET=${build.User}@${build.Host}:${build.Port}",
      "HOST=${build.Host}:${build.Port}",
      "IMAGE=${var.image}",
      "INSIDE=${var.manifests}/${var.image}.inside",
    ]
    inline = [
      "\"$DRIFTD\" trust --yes \"$HOST\"",
      "\"$DRIFTD\" bake --host \"$TARGET\" --image \"$IMAGE\" --output \"$INSIDE\"",
    ]
  }

  # 4. What makes one machine another than its copies. Nobody new gets in after this: it is the last.
  provisioner "shell" {
    script = "${path.root}/forget.sh"
  }

  post-processors {
    # 5. The look from without, at what will be launched; the same tree as the one from within, or no image.
    post-processor "shell-local" {
      environment_vars = [
        "DRIFTD=${var.driftd}",
        "IMAGE=${var.image}",
        "KIND=${var.artifact_kind}",
        "ARTIFACT=${var.artifact}",
        "INSIDE=${var.manifests}/${var.image}.inside",
        "OUTSIDE=${var.manifests}/${var.image}.manifest",
        "SIGNING_KEY=${var.signing_key}",
        "FINISH=${var.finish}",
      ]
      inline = [
        "sh -c \"$FINISH\"",
        "\"$DRIFTD\" bake \"--$KIND\" \"$ARTIFACT\" --image \"$IMAGE\" --output \"$OUTSIDE\"",
        "\"$DRIFTD\" manifest diff --closed \"$INSIDE\" \"$OUTSIDE\"",
        # 6. Only now somebody vouches for it, and for no running server.
        "\"$DRIFTD\" manifest sign \"$OUTSIDE\" --key \"$SIGNING_KEY\"",
      ]
    }

    # 7. Which build it was: its run's UUID and the artifact's id, beside the image's name.
    post-processor "manifest" {
      output = "${var.manifests}/${var.image}.packer.json"
      custom_data = {
        image    = var.image
        manifest = "${var.image}.manifest"
      }
    }
  }
}
