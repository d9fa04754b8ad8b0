"""What may happen to a training image, by how the images are kept. Torch-free, so that a recipe is checked before anything trains."""

IN_MEMORY = ("none", "flip", "crop", "crop_flip")  # batches.py
OF_FOLDERS = ("none", "resized_crop_flip", "resized_crop_flip_jitter")  # imagefolder.py of the imagenet task
FOLDER = "imagenet"  # the dataset that is read file by file; all others are held in memory
