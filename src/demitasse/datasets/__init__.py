"""What has been put aside to train or test on: databases, folders of pictures, lists, annotations. Read, never written.

Nothing here knows a network. Labels and boxes are as their authors wrote them down.
"""
