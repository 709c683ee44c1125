
import accounts.fields
import django.db.models.deletion
import tasks.webhooks.signing
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('tasks', '0005_uploads'),
    ]

    operations = [
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=63)),
                ('url', accounts.fields.EncryptedTextField(help_text='Where to send: https://…')),
                ('secret', accounts.fields.EncryptedTextField(default=tasks.webhooks.signing.new_secret, editable=False)),
                ('old_secret', accounts.fields.EncryptedTextField(blank=True, default='', editable=False)),
                ('rotated_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('jobs', models.JSONField(blank=True, default=list, help_text='Only tasks of these jobs; empty: all that take files')),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.team')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('seq', models.PositiveBigIntegerField(default=0, help_text="The task's at that end")),
                ('type', models.CharField(help_text='task.succeeded, webhook.test, …', max_length=30)),
                ('body', models.JSONField(help_text='What is sent, at each try the same')),
                ('state', models.CharField(choices=[('pending', 'Being sent'), ('sent', 'Sent'), ('failed', 'Not delivered')], default='pending', max_length=10)),
                ('tries', models.PositiveIntegerField(default=0)),
                ('status_code', models.PositiveIntegerField(help_text='Of the last answer', null=True)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('sending', models.ForeignKey(help_text='Sends it', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tasks.task')),
                ('task', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='tasks.task')),
                ('webhook', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='tasks.webhook')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'ordering': ['-created_at'],
            },
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.UniqueConstraint(fields=('team', 'name'), name='tasks_webhook_once'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('webhook', 'task', 'seq'), name='tasks_webhookdelivery_once'),
        ),
    ]
